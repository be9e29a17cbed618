import { Task } from "../../../shared/entities.ts";
import { ProjectQuery } from "../../../shared/rest/sessions.ts";
import { NewTask, TaskPage, TaskPatch, TasksQuery } from "../../../shared/rest/tasks.ts";
import { PATCH_TYPES } from "../body.ts";
import { declare } from "../describe/declaration.ts";
import { AT, TASK } from "./examples.ts";

const path = { session_id: "build-17", task_id: "compile" };
const { session_id } = path;

export const LIST_TASKS = declare({
  name: "listTasks",
  summary: "List tasks, newest first",
  query: TasksQuery,
  answers: { 200: { what: "One page", body: TaskPage } },
  examples: [{ query: { project_id: "default", limit: 10 }, status: 200, answer: { items: [TASK], length: 1 } }],
});

export const LIST_SESSION_TASKS = declare({
  name: "listSessionTasks",
  summary: "The tasks of a session, newest first",
  query: TasksQuery,
  answers: { 200: { what: "One page", body: TaskPage } },
  errors: ["NOT_FOUND", "AMBIGUOUS"],
  examples: [{ path: { session_id }, status: 200, answer: { items: [TASK], length: 1 } }],
});

export const CREATE_TASK = declare({
  name: "createTask",
  summary: "Create a task",
  detail: "The same request again answers 200 and changes nothing.",
  query: ProjectQuery,
  body: NewTask,
  answers: {
    200: { what: "It is there already, and each given field is equal", body: Task, headers: ["ETag", "Location"] },
    201: {
      what: "Created",
      body: Task,
      headers: ["ETag", "Location"],
      links: {
        to: ["getTask", "updateTask"],
        with: { "path.session_id": "session_id", "path.task_id": "task_id", "query.project_id": "project_id" },
      },
    },
  },
  errors: ["NOT_FOUND", "AMBIGUOUS", "ALREADY_EXISTS", "INVALID_TRANSITION", "LIMIT_EXCEEDED"],
  examples: [
    {
      path: { session_id },
      body: { task_id: "compile", title: "Compile the server", status: "IN_PROGRESS", progress: 0.4 },
      status: 201,
      answer: TASK,
    },
  ],
});

export const GET_TASK = declare({
  name: "getTask",
  summary: "One task",
  query: ProjectQuery,
  headers: ["If-None-Match"],
  answers: {
    200: { what: "The task", body: Task, headers: ["ETag"] },
    304: { what: "It is that of the ETag", headers: ["ETag"] },
  },
  errors: ["NOT_FOUND", "AMBIGUOUS"],
  examples: [
    { path, status: 200, answer: TASK },
    { path, headers: { "If-None-Match": '"1"' }, status: 304 },
  ],
});

export const UPDATE_TASK = declare({
  name: "updateTask",
  summary: "Change a task",
  detail: "As with sessions: `metadata` is a JSON Merge Patch, `If-Match` or `expected_version` makes it conditional.",
  query: ProjectQuery,
  body: TaskPatch,
  types: PATCH_TYPES,
  headers: ["If-Match"],
  answers: { 200: { what: "The task as it is then", body: Task, headers: ["ETag"] } },
  errors: ["NOT_FOUND", "AMBIGUOUS", "INVALID_TRANSITION", "VERSION_CONFLICT"],
  examples: [
    {
      path,
      body: { status: "COMPLETED", progress: 1 },
      status: 200,
      answer: {
        ...TASK,
        status: "COMPLETED",
        progress: 1,
        updated_at: AT.asked,
        ended_at: AT.asked,
        version: 2,
        seq: 4,
      },
    },
  ],
});
