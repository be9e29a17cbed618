import { z } from "zod";
import { Metadata, Task, TaskStatus } from "../entities.ts";
import { Id } from "../ids.ts";
import { TaskEdit } from "../messages/changes-publish.ts";
import { PageParameters, pageOf, Time } from "./query.ts";

export const TaskPage = pageOf(Task);
export type TaskPage = z.infer<typeof TaskPage>;

export const TasksQuery = z.object({
  project_id: Id.optional(),
  session_id: Id.optional(),
  status: TaskStatus.optional(),
  created_from: Time.optional(),
  created_to: Time.optional(),
  updated_from: Time.optional(),
  ...PageParameters,
});

const { title, status, progress, expected_version } = TaskEdit.shape;

export const NewTask = z.object({
  task_id: Id,
  title: title.unwrap(),
  status,
  progress,
  metadata: Metadata.optional(),
});

export const TaskPatch = z.object({ title, status, progress, metadata: Metadata.optional(), expected_version });
