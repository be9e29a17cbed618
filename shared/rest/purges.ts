import { z } from "zod";
import { Timestamp } from "../entities.ts";
import { Id } from "../ids.ts";

/** One session, or with `project_id` alone all sessions that the project has now. */
export const PurgeRequest = z
  .object({ project_id: Id.optional(), session_id: Id.optional() })
  .refine(({ project_id, session_id }) => project_id !== undefined || session_id !== undefined, {
    path: ["session_id"],
    message: "or project_id has to be given",
  });

const Count = z.int().min(0);

/** How far a purge is. */
export const PurgeView = z.object({
  purge_id: z.string(),
  project_id: Id,
  session_id: Id.exactOptional(),
  state: z.enum(["running", "done"]),
  requested_at: Timestamp,
  finished_at: Timestamp.exactOptional(),
  /** Sessions that were removed, with their tasks. */
  sessions: Count,
  /** Entries of the log that lost changes. */
  entries: Count,
  /** Sessions that stayed, since they have begun to run meanwhile. */
  kept: Count,
});
export type PurgeView = z.infer<typeof PurgeView>;
