// @state-hub/client: report as an agent, follow a project as a viewer. Runs on Node 18 and newer, and in browsers; what
// needs Node's files is @state-hub/client/spool.

export {
  DEFAULT_STALLED_AFTER_MS,
  type Display,
  type DisplayState,
  displayState,
  type LastHeard,
} from "../shared/display.ts";
export type { Change, FinalStatus, Liveness, Session, SessionStatus, Task, TaskStatus } from "../shared/entities.ts";
export type { ErrorCode } from "../shared/errors.ts";
export type { JsonObject, JsonValue } from "../shared/json.ts";
export type { Edit, Published, PublishResult, SessionEdit, TaskEdit } from "../shared/messages/changes-publish.ts";
export type { HeartbeatInfo, HeartbeatsFrame } from "../shared/messages/frames.ts";
export type { Fenced, SessionChanged } from "../shared/messages/notices.ts";
export type { Position } from "../shared/position.ts";
export { type Agent, connectAgent } from "./agent.ts";
export type { AgentSession, WaitingOptions } from "./agent-session.ts";
export type {
  AgentEvents,
  AgentOptions,
  BeatInfo,
  CloseOptions,
  OpenedSession,
  PublishOptions,
  SessionEvents,
  SessionSpec,
  SessionState,
} from "./agent-types.ts";
export type { ConnectionState, StopReason } from "./connection-state.ts";
export { type ClientErrorCode, StateHubError } from "./errors.ts";
export {
  type FollowerEvents,
  type FollowOptions,
  followProject,
  type ProjectFollower,
} from "./follower.ts";
export type { KeySource } from "./key-source.ts";
export { type MirrorChange, taskMapKey } from "./mirror.ts";
export type { Network } from "./network.ts";
export type { OutboxDepth } from "./outbox-budget.ts";
export type { Spool, Undelivered } from "./spool.ts";
export type { TaskHandle, TaskOptions } from "./task-handle.ts";
