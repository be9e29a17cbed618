import { isFinal, type Task, type TaskStatus } from "../../shared/entities.ts";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { Limits } from "../../shared/limits.ts";
import type { TaskEdit } from "../../shared/messages/changes-publish.ts";
import { type Edited, editMetadata } from "./edit-metadata.ts";
import { TASK_TRANSITIONS } from "./task.ts";

/** The task after an edit (versions aside), or why not. */
export function editTask(before: Task, edit: TaskEdit, at: string, limits: Limits): Edited<Task> {
  const status = edit.status ?? before.status;
  if (status !== before.status && !TASK_TRANSITIONS[before.status].includes(status)) {
    return { refusal: refuseTransition(before, status) };
  }
  const metadata = editMetadata(before.metadata, edit.metadata, limits);
  if ("refusal" in metadata) return metadata;
  const { ended_at: endedAt, ...rest } = before;
  const ended = isFinal(status) ? (endedAt ?? at) : undefined;
  return {
    after: {
      ...rest,
      status,
      metadata: metadata.after,
      ...(edit.title === undefined ? {} : { title: edit.title }),
      ...(edit.progress === undefined ? {} : { progress: edit.progress }),
      ...(ended === undefined ? {} : { ended_at: ended }),
    },
  };
}

/** A new task from the first edit that names it. */
export function createTask(
  ids: { readonly project_id: string; readonly session_id: string },
  edit: TaskEdit,
  at: string,
  limits: Limits,
): Edited<Task> {
  if (edit.title === undefined) {
    return {
      refusal: refuseFields([{ field: "title", message: `is required: task ${edit.task_id} does not exist yet` }]),
    };
  }
  const metadata = editMetadata({}, edit.metadata ?? ({} as JsonObject), limits);
  if ("refusal" in metadata) return metadata;
  const status = edit.status ?? "PENDING";
  return {
    after: {
      task_id: edit.task_id,
      session_id: ids.session_id,
      project_id: ids.project_id,
      title: edit.title,
      status,
      ...(edit.progress === undefined ? {} : { progress: edit.progress }),
      metadata: metadata.after,
      created_at: at,
      updated_at: at,
      ...(isFinal(status) ? { ended_at: at } : {}),
      version: 0,
      seq: 0,
    },
  };
}

function refuseTransition(task: Task, to: TaskStatus): Refusal {
  return refuse("INVALID_TRANSITION", `task ${task.task_id} cannot go from ${task.status} to ${to}`, {
    from: task.status,
    to,
    allowed: TASK_TRANSITIONS[task.status],
  });
}
