import { z } from "zod";
import { Session, Task } from "../entities.ts";
import { Id } from "../ids.ts";

/** Viewer → hub: the next page of a snapshot; a cursor lives 60 s. */
export const ProjectSnapshot = z.object({ project_id: Id, cursor: z.string().min(1).max(256) });
export type ProjectSnapshot = z.infer<typeof ProjectSnapshot>;

export const SnapshotPage = z.object({
  epoch: z.string(),
  seq: z.int().min(0),
  sessions: z.array(Session).readonly(),
  tasks: z.array(Task).readonly(),
  next_cursor: z.string().exactOptional(),
});
export type SnapshotPage = z.infer<typeof SnapshotPage>;
