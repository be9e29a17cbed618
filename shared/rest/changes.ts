import { z } from "zod";
import { SessionChange, TaskChange } from "../entities.ts";
import { Id } from "../ids.ts";
import { PageParameters, pageOf } from "./query.ts";

/** `X-Request-Id` of the REST request that made the change. */
const request_id = z.string().exactOptional();

/** A change as history tells it. */
export const RecordedChange = z.discriminatedUnion("kind", [
  SessionChange.extend({ request_id }),
  TaskChange.extend({ request_id }),
]);
export type RecordedChange = z.infer<typeof RecordedChange>;

export const RecordedChangePage = pageOf(RecordedChange);
export type RecordedChangePage = z.infer<typeof RecordedChangePage>;

export const HistoryQuery = z.object({
  project_id: Id.optional(),
  kind: z.enum(["session", "task"]).optional(),
  ...PageParameters,
});
