import { PurgeRequest, PurgeView } from "../../../shared/rest/purges.ts";
import { declare } from "../describe/declaration.ts";
import { AT } from "./examples.ts";

const PURGE = {
  purge_id: "purge-9f2c61d05b8e",
  project_id: "default",
  session_id: "build-16",
  state: "running",
  requested_at: AT.asked,
  sessions: 0,
  entries: 0,
  kept: 0,
} as const;

export const BEGIN_PURGE = declare({
  name: "beginPurge",
  summary: "Forget a session, or all sessions of a project, for good",
  detail:
    "Documents, history, base and heartbeats: nothing is left but a change that says who removed what, and nothing brings it back. Sessions have to be final. The project's numbering begins a new epoch, so its viewers begin anew.",
  body: PurgeRequest,
  answers: {
    202: {
      what: "It has begun; `getPurge` tells how it goes on",
      body: PurgeView,
      headers: ["Location"],
      links: { to: ["getPurge"], with: { "path.purge_id": "purge_id" } },
    },
  },
  errors: ["NOT_FOUND", "AMBIGUOUS", "INVALID_TRANSITION"],
  examples: [{ body: { project_id: "default", session_id: "build-16" }, status: 202, answer: PURGE }],
});

export const GET_PURGE = declare({
  name: "getPurge",
  summary: "How far a purge is",
  detail: "On any hub, for a year. A hub that stops leaves the rest to another one.",
  answers: { 200: { what: "Running or done", body: PurgeView } },
  errors: ["NOT_FOUND"],
  examples: [
    {
      path: { purge_id: PURGE.purge_id },
      status: 200,
      answer: { ...PURGE, state: "done", finished_at: AT.asked, sessions: 1, entries: 1 },
    },
  ],
});
