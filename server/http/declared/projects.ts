import { z } from "zod";
import { SnapshotPage } from "../../../shared/messages/project-snapshot.ts";
import { PositionText } from "../../../shared/position.ts";
import { ChangesPage, ProjectPage, ProjectsQuery, ProjectView } from "../../../shared/rest/projects.ts";
import { PageParameters } from "../../../shared/rest/query.ts";
import { MomentText } from "../../history/moment.ts";
import { declare } from "../describe/declaration.ts";
import { AT, CREATED_CHANGE, EPOCH, SESSION, TASK, TASK_CHANGE } from "./examples.ts";

const path = { project_id: "default" };

const NONE = { ACTIVE: 0, IDLE: 0, WAITING: 0, PAUSED: 0, COMPLETED: 0, FAILED: 0, CANCELLED: 0 } as const;
const SHOWN = {
  ...{ working: 0, idle: 0, "needs you": 1, paused: 0, stalled: 0, stale: 0, lost: 0 },
  ...{ unmonitored: 0, finished: 0, failed: 0, cancelled: 0, unknown: 0 },
} as const;
const PROJECT = {
  project_id: "default",
  created_at: AT.created,
  epoch: EPOCH,
  seq: 3,
  counts: {
    sessions: 1,
    status: { ...NONE, WAITING: 1 },
    liveness: { online: 0, stale: 0, lost: 0, ended: 0, unmonitored: 1 },
    display: SHOWN,
  },
} as const;

export const LIST_PROJECTS = declare({
  name: "listProjects",
  summary: "The projects that have changes and that the key may read, by id",
  query: ProjectsQuery,
  answers: { 200: { what: "One page", body: ProjectPage } },
  examples: [{ query: { limit: 10 }, status: 200, answer: { items: [PROJECT], length: 1 } }],
});

export const GET_PROJECT = declare({
  name: "getProject",
  summary: "How many sessions of a project stand where",
  detail: "Every session counts, ended ones too, and every change acked before is in it.",
  answers: { 200: { what: "The project, also one without changes", body: ProjectView } },
  examples: [{ path, status: 200, answer: PROJECT }],
});

const SnapshotQuery = z
  .object({ cursor: z.string().min(1).max(256).optional(), at: MomentText.optional() })
  .refine(({ cursor, at }) => cursor === undefined || at === undefined, {
    path: ["at"],
    message: "is not for further pages; a cursor keeps to its moment",
  });

export const SNAPSHOT = declare({
  name: "getSnapshot",
  summary: "The state of a project at one seq",
  detail:
    "Sessions that are not final or ended in the last 24 h, and their tasks likewise; with `at`, a seq or a time, as it " +
    "was then. Follow `next_cursor` for more of the same state; a cursor lives 60 s.",
  query: SnapshotQuery,
  answers: { 200: { what: "One page", body: SnapshotPage } },
  errors: ["GONE", "OVERLOADED"],
  examples: [
    { path, status: 200, answer: { epoch: EPOCH, seq: 2, sessions: [SESSION], tasks: [TASK] } },
    { path, query: { at: 1 }, status: 200, answer: { epoch: EPOCH, seq: 1, sessions: [SESSION], tasks: [] } },
  ],
});

export const PROJECT_CHANGES = declare({
  name: "listProjectChanges",
  summary: "The changes of a project after a position, in order and without a hole",
  detail: "Give `next` as `since` for what follows. What is trimmed, or of another epoch, is `GONE`.",
  query: z.object({ since: PositionText.optional(), limit: PageParameters.limit }),
  answers: { 200: { what: "What follows, perhaps nothing yet", body: ChangesPage } },
  errors: ["GONE"],
  examples: [
    {
      path,
      query: { limit: 2 },
      status: 200,
      answer: {
        items: [CREATED_CHANGE, TASK_CHANGE],
        length: 2,
        next: `${EPOCH}:2`,
        epoch: EPOCH,
        seq: 2,
      },
    },
  ],
});

export const EVENTS = declare({
  name: "followProject",
  summary: "The changes of a project as they come, as server-sent events",
  detail:
    "The frames of the socket's `/viewers`: `event` is the message's name, `data` its payload, `id` a position. It begins " +
    "at the head, or with all that follows `since`. `Last-Event-ID` counts before `since`, so a browser's EventSource goes " +
    "on by itself; where that is gone comes `project:reset` with the head as id: fetch a snapshot.",
  query: z.object({ since: PositionText.optional(), heartbeats: z.enum(["true", "false"]).default("false") }),
  headers: ["Last-Event-ID"],
  answers: { 200: { what: "A stream without end", type: "text/event-stream" } },
  examples: [{ path, query: { since: `${EPOCH}:2` }, status: 200 }],
});
