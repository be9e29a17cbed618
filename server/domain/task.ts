import type { TaskStatus } from "../../shared/entities.ts";

/** Complete; `FAILED → PENDING` is a retry. */
export const TASK_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  PENDING: ["IN_PROGRESS", "CANCELLED"],
  IN_PROGRESS: ["BLOCKED", "COMPLETED", "FAILED", "CANCELLED"],
  BLOCKED: ["IN_PROGRESS", "FAILED", "CANCELLED"],
  COMPLETED: [],
  FAILED: ["PENDING"],
  CANCELLED: [],
};
