import { z } from "zod";
import { Session } from "../../../shared/entities.ts";
import { HistoryQuery, RecordedChangePage } from "../../../shared/rest/changes.ts";
import {
  NewSession,
  ProjectQuery,
  SessionEnd,
  SessionPage,
  SessionPatch,
  SessionsQuery,
  SessionView,
} from "../../../shared/rest/sessions.ts";
import { MomentText } from "../../history/moment.ts";
import { PATCH_TYPES } from "../body.ts";
import { declare } from "../describe/declaration.ts";
import { AT, CREATED_CHANGE, QUESTION, SESSION, SESSION_VIEW, UPDATED_CHANGE, WAITING_VIEW } from "./examples.ts";

const path = { session_id: "build-17" };
const AS_IT_IS = { what: "The session as it is then", body: SessionView, headers: ["ETag"] } as const;

export const LIST_SESSIONS = declare({
  name: "listSessions",
  summary: "List sessions, newest first",
  detail:
    "Filters given together must all hold; without `project_id` the list covers the projects that the key may read. " +
    "The order is by `created_at`, or by the field of `updated_from` or `min_recovery_attempts` where that is given. " +
    "Follow `next_cursor` for more.",
  query: SessionsQuery,
  answers: { 200: { what: "One page", body: SessionPage } },
  examples: [
    {
      query: { project_id: "default", status: "ACTIVE", limit: 2 },
      status: 200,
      answer: { items: [SESSION_VIEW], length: 1 },
    },
  ],
});

export const CREATE_SESSION = declare({
  name: "createSession",
  summary: "Create a session",
  detail:
    "It is `unmonitored` until an agent opens it. The same request again answers 200 and changes nothing, so a request " +
    "with unknown outcome may simply be sent again.",
  body: NewSession,
  answers: {
    200: {
      what: "It is there already, and each given field is equal",
      body: SessionView,
      headers: ["ETag", "Location"],
    },
    201: {
      what: "Created",
      body: SessionView,
      headers: ["ETag", "Location"],
      links: {
        to: [
          "getSession",
          "updateSession",
          "closeSession",
          "expireSession",
          "listSessionChanges",
          "listSessionTasks",
          "createTask",
        ],
        with: { "path.session_id": "session_id", "query.project_id": "project_id" },
      },
    },
  },
  errors: ["ALREADY_EXISTS"],
  examples: [
    {
      body: { session_id: "build-17", machine_id: "laptop-1", metadata: { branch: "main" } },
      status: 201,
      answer: SESSION_VIEW,
    },
  ],
});

export const GET_SESSION = declare({
  name: "getSession",
  summary: "One session",
  detail:
    "With `at`, a seq of its project or a time, the logged fields as they were then: without `display` and heartbeat, " +
    "and without ETag.",
  query: ProjectQuery.extend({ at: MomentText.optional() }),
  headers: ["If-None-Match"],
  answers: {
    200: { what: "The session", body: z.union([SessionView, Session]), headers: ["ETag"] },
    304: { what: "Its logged fields are those of the ETag", headers: ["ETag"] },
  },
  errors: ["NOT_FOUND", "AMBIGUOUS", "GONE", "OVERLOADED"],
  examples: [
    { path, status: 200, answer: SESSION_VIEW },
    { path, headers: { "If-None-Match": '"1"' }, status: 304 },
    { path, query: { project_id: "default", at: 1 }, status: 200, answer: SESSION },
  ],
});

export const UPDATE_SESSION = declare({
  name: "updateSession",
  summary: "Change a session",
  detail:
    "`metadata` is a JSON Merge Patch. `If-Match`, or `expected_version` in the body, makes it conditional. A refused " +
    "change of status tells in `details.allowed` what it may become. A final status ends the session.",
  query: ProjectQuery,
  body: SessionPatch,
  types: PATCH_TYPES,
  headers: ["If-Match"],
  answers: { 200: AS_IT_IS },
  errors: ["NOT_FOUND", "AMBIGUOUS", "INVALID_TRANSITION", "VERSION_CONFLICT"],
  examples: [
    {
      path,
      headers: { "If-Match": '"1"' },
      body: { status: "WAITING", waiting_for: QUESTION },
      status: 200,
      answer: WAITING_VIEW,
    },
  ],
});

export const CLOSE_SESSION = declare({
  name: "closeSession",
  summary: "End a session",
  detail: "An agent that has it open is told.",
  query: ProjectQuery,
  body: SessionEnd,
  headers: ["If-Match"],
  answers: { 200: AS_IT_IS },
  errors: ["NOT_FOUND", "AMBIGUOUS", "INVALID_TRANSITION", "VERSION_CONFLICT"],
  examples: [
    {
      path: { session_id: "build-16" },
      body: { status: "COMPLETED", metadata: { exit_code: 0 } },
      status: 200,
      answer: {
        ...SESSION,
        session_id: "build-16",
        status: "COMPLETED",
        liveness: "ended",
        metadata: { exit_code: 0 },
        updated_at: AT.asked,
        ended_at: AT.asked,
        version: 2,
        seq: 5,
        display: { state: "finished", reason: "completed", since: AT.asked },
      },
    },
  ],
});

export const EXPIRE_SESSION = declare({
  name: "expireSession",
  summary: "End a session whose agent is gone, as FAILED",
  detail: "While its liveness is `online` it is refused: close ends such a session. No body is needed.",
  query: ProjectQuery,
  answers: { 200: AS_IT_IS },
  errors: ["NOT_FOUND", "AMBIGUOUS", "INVALID_TRANSITION"],
  examples: [
    {
      path: { session_id: "build-15" },
      status: 200,
      answer: {
        ...SESSION,
        session_id: "build-15",
        status: "FAILED",
        liveness: "ended",
        updated_at: AT.asked,
        ended_at: AT.asked,
        version: 2,
        seq: 6,
        display: { state: "failed", reason: "ended as failed", since: AT.asked },
      },
    },
  ],
});

export const SESSION_CHANGES = declare({
  name: "listSessionChanges",
  summary: "What happened to a session and its tasks, newest first",
  query: HistoryQuery,
  answers: { 200: { what: "One page", body: RecordedChangePage } },
  errors: ["NOT_FOUND", "AMBIGUOUS"],
  examples: [
    {
      path,
      query: { kind: "session" },
      status: 200,
      answer: { items: [UPDATED_CHANGE, CREATED_CHANGE], length: 2 },
    },
  ],
});
