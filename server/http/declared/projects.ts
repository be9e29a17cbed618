import { z } from "zod";
import { SnapshotPage } from "../../../shared/messages/project-snapshot.ts";
import { PositionText } from "../../../shared/position.ts";
import { ChangesPage } from "../../../shared/rest/projects.ts";
import { PageParameters } from "../../../shared/rest/query.ts";
import { MomentText } from "../../history/moment.ts";
import { declare } from "../describe/declaration.ts";
import { CREATED_CHANGE, EPOCH, SESSION, TASK, TASK_CHANGE } from "./examples.ts";

const path = { project_id: "default" };

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
