// What the examples of several routes speak of: one session with one task, in the project `default`.

const BUILD = { session_id: "build-17", project_id: "default" } as const;

export const AT = {
  created: "2026-11-22T06:00:00.000Z",
  task: "2026-11-22T06:00:01.020Z",
  asked: "2026-11-22T06:00:02.114Z",
} as const;

export const EPOCH = "5b0c9a17e2d4f836";

export const SESSION = {
  ...BUILD,
  status: "ACTIVE",
  liveness: "unmonitored",
  machine_id: "laptop-1",
  environment: "production",
  metadata: { branch: "main" },
  incarnation: 0,
  created_at: AT.created,
  updated_at: AT.created,
  version: 1,
  seq: 1,
} as const;

export const SESSION_VIEW = {
  ...SESSION,
  display: { state: "unmonitored", reason: "no agent has opened it", since: AT.created },
} as const;

export const QUESTION = { kind: "permission", question: "Deploy?", options: ["yes", "no"] } as const;

export const WAITING_VIEW = {
  ...SESSION,
  status: "WAITING",
  waiting_for: { ...QUESTION, since: AT.asked },
  updated_at: AT.asked,
  version: 2,
  seq: 3,
  display: { state: "needs you", reason: "Deploy?", since: AT.asked },
} as const;

export const TASK = {
  ...BUILD,
  task_id: "compile",
  title: "Compile the server",
  status: "IN_PROGRESS",
  progress: 0.4,
  metadata: {},
  created_at: AT.task,
  updated_at: AT.task,
  version: 1,
  seq: 2,
} as const;

const OPERATOR = { kind: "operator", id: "key:5d41402a" } as const;

export const CREATED_CHANGE = {
  seq: 1,
  at: AT.created,
  kind: "session",
  id: "build-17",
  session_id: "build-17",
  version: 1,
  type: "created",
  actor: OPERATOR,
  state: SESSION,
} as const;

export const UPDATED_CHANGE = {
  ...CREATED_CHANGE,
  seq: 3,
  at: AT.asked,
  version: 2,
  type: "updated",
  state: undefined,
  patch: { status: "WAITING", waiting_for: { ...QUESTION, since: AT.asked } },
} as const;

export const TASK_CHANGE = {
  ...CREATED_CHANGE,
  seq: 2,
  at: AT.task,
  kind: "task",
  id: "compile",
  state: TASK,
} as const;
