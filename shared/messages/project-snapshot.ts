import { z } from "zod";
import type { Session, Task } from "../entities.ts";
import { Id } from "../ids.ts";

/** Viewer → hub: the next page of a snapshot; a cursor lives 60 s. */
export const ProjectSnapshot = z.object({ project_id: Id, cursor: z.string().min(1).max(256) });
export type ProjectSnapshot = z.infer<typeof ProjectSnapshot>;

export interface SnapshotPage {
  readonly epoch: string;
  readonly seq: number;
  readonly sessions: readonly Session[];
  readonly tasks: readonly Task[];
  readonly next_cursor?: string;
}
