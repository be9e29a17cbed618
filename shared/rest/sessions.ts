import { z } from "zod";
import { FinalStatus, Liveness, Metadata, Session, SessionStatus, Timestamp, WaitingRequest } from "../entities.ts";
import { DEFAULT_PROJECT_ID, Id } from "../ids.ts";
import { HeartbeatInfo } from "../messages/frames.ts";
import { PageParameters, pageOf, Time, Whole } from "./query.ts";

/** What a person should see, as `displayState` of shared/display.ts says it. More states may come. */
export const DisplayView = z.object({ state: z.string(), reason: z.string(), since: Timestamp });

/** A session as REST shows it: the logged fields, its last heartbeat, and what a person should see. */
export const SessionView = Session.extend({
  last_heartbeat_at: Timestamp.exactOptional(),
  last_activity_at: Timestamp.exactOptional(),
  heartbeat: HeartbeatInfo.omit({ last_heartbeat_at: true, last_activity_at: true }).exactOptional(),
  display: DisplayView,
});
export type SessionView = z.infer<typeof SessionView>;

export const SessionPage = pageOf(SessionView);
export type SessionPage = z.infer<typeof SessionPage>;

export const SessionsQuery = z.object({
  project_id: Id.optional(),
  status: SessionStatus.optional(),
  liveness: Liveness.optional(),
  machine_id: Id.optional(),
  environment: z.string().min(1).max(128).optional(),
  created_from: Time.optional(),
  created_to: Time.optional(),
  updated_from: Time.optional(),
  min_recovery_attempts: Whole.optional(),
  ...PageParameters,
});

/** Of every route below `/sessions/{session_id}`. */
export const ProjectQuery = z.object({ project_id: Id.optional() });

export const NewSession = z.object({
  session_id: Id,
  machine_id: Id,
  status: SessionStatus.optional(),
  project_id: Id.default(DEFAULT_PROJECT_ID),
  environment: z.string().min(1).max(128).optional(),
  metadata: Metadata.optional(),
});

export const SessionPatch = z.object({
  status: SessionStatus.optional(),
  metadata: Metadata.optional(),
  waiting_for: WaitingRequest.optional(),
  expected_version: z.int().min(0).optional(),
});

export const SessionEnd = z.object({ status: FinalStatus, metadata: Metadata.optional() });
