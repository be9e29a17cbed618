import type { z } from "zod";
import type { ErrorCode } from "../../../shared/errors.ts";
import { DEFAULT_LIMITS } from "../../../shared/limits.ts";
import { AuthRefresh, AuthRefreshed } from "../../../shared/messages/auth-refresh.ts";
import { ChangesPublish, Published } from "../../../shared/messages/changes-publish.ts";
import type { HubToAgent, HubToViewer } from "../../../shared/messages/down.ts";
import {
  ChangesFrame,
  HeartbeatsFrame,
  ModeFrame,
  PositionFrame,
  ProjectReset,
} from "../../../shared/messages/frames.ts";
import { Heartbeat, HeartbeatTaken } from "../../../shared/messages/heartbeat.ts";
import { Lease } from "../../../shared/messages/lease.ts";
import { Closing, Drain, Expiring, Fenced, SessionChanged, Welcome } from "../../../shared/messages/notices.ts";
import { ProjectJoin, ProjectJoined } from "../../../shared/messages/project-join.ts";
import { ProjectLeave, ProjectLeft } from "../../../shared/messages/project-leave.ts";
import { ProjectSnapshot, SnapshotPage } from "../../../shared/messages/project-snapshot.ts";
import { SessionClose } from "../../../shared/messages/session-close.ts";
import { SessionOpen, SessionOpened } from "../../../shared/messages/session-open.ts";
import type { AgentToHub, ViewerToHub } from "../../../shared/messages/up.ts";
import { AT, CREATED_CHANGE, EPOCH, QUESTION, SESSION, TASK_CHANGE } from "../declared/examples.ts";

/** What a client sends. The examples work one after the other, from top to bottom. */
export interface RequestMessage {
  readonly summary: string;
  readonly detail?: string;
  readonly schema: z.ZodType;
  /** Of an ok ack, beside `ok`. */
  readonly ack: z.ZodObject | z.ZodDiscriminatedUnion<readonly z.ZodObject[]>;
  readonly isAckOptional?: true;
  /** Beside those that every request can be refused with. */
  readonly errors: readonly ErrorCode[];
  readonly example: object;
  readonly answer: object;
}

/** What a hub sends. */
export interface HubMessage {
  readonly summary: string;
  readonly schema: z.ZodType;
  readonly example: object;
}

const LEASE = { interval_ms: 5_000, ttl_ms: 15_000 } as const;
const ONE = { session_id: "build-21", incarnation: 1 } as const;
const WRITE_ERRORS = ["NOT_FOUND", "FENCED", "INVALID_TRANSITION", "PAYLOAD_TOO_LARGE"] as const;
const AGENT = { kind: "agent", id: "builder" } as const;

const AUTH_REFRESH: RequestMessage = {
  summary: "Go on under another key or token of the same rights",
  detail: "For one that is about to expire, see `expiring`. A refusal changes nothing.",
  schema: AuthRefresh,
  ack: AuthRefreshed,
  errors: ["UNAUTHENTICATED"],
  example: { key: "shk_4fQ2…" },
  answer: { expires_at: "2026-11-22T07:00:00.000Z" },
};

export const AGENT_REQUESTS = {
  "session:open": {
    summary: "Create a session, or come back to it",
    detail:
      "On an existing session everything but the ids and the proof (`incarnation` and `token` of the last open) is " +
      "ignored. A new owner raises the incarnation; the former one gets `fenced`.",
    schema: SessionOpen,
    ack: SessionOpened,
    errors: ["ALREADY_OWNED", "INVALID_TRANSITION", "LIMIT_EXCEEDED", "PAYLOAD_TOO_LARGE"],
    example: { session_id: ONE.session_id, machine_id: "laptop-1", metadata: { branch: "main" } },
    answer: {
      session: { ...SESSION, session_id: ONE.session_id, liveness: "online", agent_id: "builder", incarnation: 1 },
      ...{ created: true, resumed: false, incarnation: 1, token: "dG9rZW4…", last_op: 0, epoch: EPOCH, seq: 1 },
      lease: LEASE,
    },
  },
  "changes:publish": {
    summary: "Change a session and its tasks, all or none",
    detail:
      "An ok ack means: in the log, journaled, by majority, and REST reads see it. After a lost ack send the same " +
      "message again: it is applied once. One publish of a session is under way at a time.",
    schema: ChangesPublish,
    ack: Published,
    errors: [...WRITE_ERRORS, "VERSION_CONFLICT", "AMBIGUOUS", "LIMIT_EXCEEDED"],
    example: {
      ...ONE,
      op: 1,
      changes: [
        { kind: "session", status: "WAITING", waiting_for: QUESTION },
        { kind: "task", task_id: "compile", title: "Compile the server", status: "IN_PROGRESS" },
      ],
    },
    answer: {
      epoch: EPOCH,
      seq: 3,
      results: [
        { kind: "session", id: ONE.session_id, version: 2, seq: 2, changed: true },
        { kind: "task", id: "compile", version: 1, seq: 3, changed: true },
      ],
    },
  },
  heartbeat: {
    summary: "Still working, for all sessions of the connection at once",
    detail: "Every `lease.interval_ms`. Never logged and never queued; each one replaces the one before as a whole.",
    schema: Heartbeat,
    ack: HeartbeatTaken,
    isAckOptional: true,
    errors: [],
    example: { sessions: [{ ...ONE, progress: 0.4, activity: "linking", metrics: { cpu: 0.7 } }] },
    answer: {},
  },
  "session:close": {
    summary: "End the session",
    detail: "As a publish with a final status; shares its numbering of ops.",
    schema: SessionClose,
    ack: Published,
    errors: [...WRITE_ERRORS, "AMBIGUOUS"],
    example: { ...ONE, op: 2, status: "COMPLETED", metadata: { exit_code: 0 } },
    answer: {
      epoch: EPOCH,
      seq: 4,
      results: [{ kind: "session", id: ONE.session_id, version: 3, seq: 4, changed: true }],
    },
  },
  "auth:refresh": AUTH_REFRESH,
} as const satisfies Record<keyof AgentToHub, RequestMessage>;

export const VIEWER_REQUESTS = {
  "project:join": {
    summary: "Follow a project, from a position on when there is one",
    detail:
      "The answer is the missed changes (`replay`), or the state at one seq (`snapshot`) and why. Then `changes` frames " +
      "follow without a hole.",
    schema: ProjectJoin,
    ack: ProjectJoined,
    errors: ["LIMIT_EXCEEDED"],
    example: { project_id: "default", heartbeats: true },
    answer: { mode: "snapshot", reason: "first", epoch: EPOCH, seq: 1, sessions: [SESSION], tasks: [] },
  },
  "project:snapshot": {
    summary: "The next page of a snapshot",
    detail: "A cursor lives 60 s, then it is `GONE`.",
    schema: ProjectSnapshot,
    ack: SnapshotPage,
    errors: ["GONE"],
    example: { project_id: "default", cursor: "c2Vjb25k" },
    answer: { epoch: EPOCH, seq: 1, sessions: [SESSION], tasks: [] },
  },
  "project:leave": {
    summary: "Stop following",
    schema: ProjectLeave,
    ack: ProjectLeft,
    errors: [],
    example: { project_id: "default" },
    answer: {},
  },
  "auth:refresh": AUTH_REFRESH,
} as const satisfies Record<keyof ViewerToHub, RequestMessage>;

const TO_ALL = {
  welcome: {
    summary: "The connection is accepted; with the limits in force",
    schema: Welcome,
    example: {
      ...{ protocol: 1, hub_id: "hub-1.9f2c61d0", time: AT.created, role: "agent" },
      limits: DEFAULT_LIMITS,
      lease: LEASE,
      stalled_after_ms: 600_000,
    },
  },
  closing: {
    summary: "Why the hub is about to end this connection",
    schema: Closing,
    example: { code: "DRAINING", message: "the hub is shutting down", reconnect: true, reconnect_after_ms: 500 },
  },
  expiring: {
    summary: "The key or token of this connection is about to expire",
    schema: Expiring,
    example: { expires_at: "2026-11-22T07:00:00.000Z", expires_in_ms: 60_000 },
  },
  drain: {
    summary: "Please move to another hub after this pause",
    schema: Drain,
    example: { reconnect_after_ms: 1_200 },
  },
} as const satisfies Record<string, HubMessage>;

export const HUB_TO_AGENT = {
  ...TO_ALL,
  lease: { summary: "Another pace of heartbeats from now on", schema: Lease, example: LEASE },
  fenced: {
    summary: "The session is no longer this connection's; do not reopen it by itself",
    schema: Fenced,
    example: { ...ONE, reason: "taken" },
  },
  session: {
    summary: "Somebody else changed the session",
    schema: SessionChanged,
    example: {
      session_id: ONE.session_id,
      version: 6,
      patch: { metadata: { priority: "high" } },
      actor: { kind: "operator", id: "key:5d41402a" },
    },
  },
} as const satisfies Record<keyof HubToAgent, HubMessage>;

export const HUB_TO_VIEWER = {
  ...TO_ALL,
  changes: {
    summary: "One commit; `from_seq` continues the frame before",
    schema: ChangesFrame,
    example: {
      project_id: "default",
      epoch: EPOCH,
      from_seq: 1,
      to_seq: 2,
      changes: [
        { ...CREATED_CHANGE, actor: AGENT },
        { ...TASK_CHANGE, actor: AGENT },
      ],
    },
  },
  heartbeats: {
    summary: "The newest heartbeats, at most once a second; may be lost",
    schema: HeartbeatsFrame,
    example: {
      project_id: "default",
      at: AT.asked,
      sessions: { "build-17": { last_heartbeat_at: AT.asked, last_activity_at: AT.task, progress: 0.4 } },
    },
  },
  position: {
    summary: "After 5 s without a frame: where the viewer has to stand",
    schema: PositionFrame,
    example: { project_id: "default", epoch: EPOCH, seq: 2 },
  },
  "project:reset": {
    summary: "What you hold can no longer be continued: join again without `since`",
    schema: ProjectReset,
    example: { project_id: "default", reason: "the log was trimmed" },
  },
  mode: {
    summary: "How quickly changes made on other hubs arrive",
    schema: ModeFrame,
    example: { mode: "degraded", reason: "Redis is away" },
  },
} as const satisfies Record<keyof HubToViewer, HubMessage>;
