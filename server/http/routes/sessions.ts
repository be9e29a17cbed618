import { z } from "zod";
import {
  FinalStatus,
  Liveness,
  Metadata,
  type Session,
  SessionStatus,
  WaitingRequest,
} from "../../../shared/entities.ts";
import { DEFAULT_PROJECT_ID, Id } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { mergePatch } from "../../../shared/merge-patch.ts";
import type { SessionEdit } from "../../../shared/messages/changes-publish.ts";
import { mayRead, mayWrite, NOT_AUTHORIZED } from "../../domain/access.ts";
import { MomentText } from "../../history/moment.ts";
import { findSession } from "../../queries/find-session.ts";
import { listSessions } from "../../queries/list.ts";
import { readHistory } from "../../queries/session-history.ts";
import { viewSessions, viewWritten } from "../../queries/session-view.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import { JSON_TYPES, PATCH_TYPES } from "../body.ts";
import type { HttpDeps } from "../deps.ts";
import { type Call, type CallWithBody, operating, type Reply, type Resource, reading, writing } from "../endpoint.ts";
import { editSession } from "../entity-edit.ts";
import { etagOf, isUnchanged } from "../etag.ts";
import { parsePathId } from "../path.ts";
import { PageParameters, Time, Whole } from "../query.ts";

/** What a request without a body counts as in the writer's queue. */
const EXPIRE_BYTES = 200;

const ListParameters = z.object({
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

const OneParameters = z.object({ project_id: Id.optional() });

const ShowParameters = OneParameters.extend({ at: MomentText.optional() });

const HistoryParameters = z.object({
  project_id: Id.optional(),
  kind: z.enum(["session", "task"]).optional(),
  ...PageParameters,
});

const NewSession = z.object({
  session_id: Id,
  machine_id: Id,
  status: SessionStatus.optional(),
  project_id: Id.default(DEFAULT_PROJECT_ID),
  environment: z.string().min(1).max(128).optional(),
  metadata: Metadata.optional(),
});

const SessionPatch = z.object({
  status: SessionStatus.optional(),
  metadata: Metadata.optional(),
  waiting_for: WaitingRequest.optional(),
  expected_version: z.int().min(0).optional(),
});

const SessionEnd = z.object({ status: FinalStatus, metadata: Metadata.optional() });

type OneQuery = z.infer<typeof OneParameters>;

export function sessionResources(deps: HttpDeps): Resource[] {
  return [
    {
      path: "/sessions",
      get: reading(deps, ListParameters, (call) => list(deps, call)),
      post: writing(deps, { query: z.object({}), body: NewSession, types: JSON_TYPES }, (call) => create(deps, call)),
    },
    {
      path: "/sessions/:session_id",
      get: reading(deps, ShowParameters, (call) => show(deps, call)),
      patch: writing(deps, { query: OneParameters, body: SessionPatch, types: PATCH_TYPES }, (call) =>
        edit(deps, call, call.body),
      ),
    },
    {
      path: "/sessions/:session_id/close",
      post: writing(deps, { query: OneParameters, body: SessionEnd, types: JSON_TYPES }, (call) =>
        edit(deps, call, call.body),
      ),
    },
    {
      path: "/sessions/:session_id/expire",
      post: operating(deps, OneParameters, (call) => expire(deps, call)),
    },
    {
      path: "/sessions/:session_id/changes",
      get: reading(deps, HistoryParameters, (call) => history(deps, call)),
    },
  ];
}

async function list(
  deps: HttpDeps,
  { principal, query }: Call<z.infer<typeof ListParameters>>,
): Promise<Outcome<Reply>> {
  const { limit, cursor, ...filter } = query;
  if (filter.project_id !== undefined && !mayRead(principal, filter.project_id)) return refused(NOT_AUTHORIZED);
  const page = await listSessions(deps.queries, filter, principal.scope, { limit, cursor });
  if (!page.ok) return page;
  return accepted({ status: 200, body: { ...page.value, items: await viewSessions(deps, page.value.items) } });
}

async function show(deps: HttpDeps, call: Call<z.infer<typeof ShowParameters>>): Promise<Outcome<Reply>> {
  const session = await find(deps, call);
  if (!session.ok) return session;
  if (call.query.at !== undefined) {
    const { project_id, session_id } = session.value;
    const past = await deps.history.sessionAt(project_id, session_id, call.query.at);
    return past.ok ? accepted({ status: 200, body: past.value }) : past;
  }
  const headers = { ETag: etagOf(session.value) };
  if (isUnchanged(call.header("if-none-match"), session.value.version)) return accepted({ status: 304, headers });
  const [body] = await viewSessions(deps, [session.value]);
  return accepted({ status: 200, headers, body });
}

async function create(
  deps: HttpDeps,
  { principal, body, bytes, actor, requestId }: CallWithBody<object, z.infer<typeof NewSession>>,
): Promise<Outcome<Reply>> {
  if (!mayWrite(principal, body.project_id)) return refused(NOT_AUTHORIZED);
  // Nulls are dropped before the comparison with what is there, so that a repeated request equals the first.
  const metadata = body.metadata === undefined ? undefined : (mergePatch({}, body.metadata) as JsonObject);
  const outcome = await deps.writer.submit(
    body.project_id,
    { type: "create", ...body, metadata, actor, request_id: requestId },
    bytes,
  );
  if (!outcome.ok) return outcome;
  const { entity } = outcome.value.session;
  const location = `/sessions/${encodeURIComponent(entity.session_id)}?project_id=${encodeURIComponent(entity.project_id)}`;
  return accepted({
    status: outcome.value.created ? 201 : 200,
    headers: { ETag: etagOf(entity), Location: location },
    body: await viewWritten(deps, entity),
  });
}

async function edit(
  deps: HttpDeps,
  call: CallWithBody<OneQuery, unknown>,
  wanted: Omit<SessionEdit, "kind">,
): Promise<Outcome<Reply>> {
  const before = await find(deps, call);
  if (!before.ok) return before;
  const after = await editSession(deps.writer, before.value, wanted, {
    ...call,
    ifMatch: call.header("if-match"),
  });
  return after.ok ? written(deps, after.value) : after;
}

async function expire(deps: HttpDeps, call: Call<OneQuery>): Promise<Outcome<Reply>> {
  const found = await find(deps, call);
  if (!found.ok) return found;
  const { project_id, session_id } = found.value;
  const { actor, requestId } = call;
  const outcome = await deps.writer.submit(
    project_id,
    { type: "expire", session_id, actor, request_id: requestId },
    EXPIRE_BYTES,
  );
  return outcome.ok ? written(deps, outcome.value.session.entity) : outcome;
}

async function written(deps: HttpDeps, session: Session): Promise<Outcome<Reply>> {
  return accepted({ status: 200, headers: { ETag: etagOf(session) }, body: await viewWritten(deps, session) });
}

async function history(deps: HttpDeps, call: Call<z.infer<typeof HistoryParameters>>): Promise<Outcome<Reply>> {
  const session = await find(deps, call);
  if (!session.ok) return session;
  const { project_id, session_id } = session.value;
  const { kind, limit, cursor } = call.query;
  const page = await readHistory(deps.queries, { project_id, session_id, kind }, { limit, cursor });
  return page.ok ? accepted({ status: 200, body: page.value }) : page;
}

async function find(deps: HttpDeps, { principal, path, query }: Call<OneQuery>): Promise<Outcome<Session>> {
  const sessionId = parsePathId(path, "session_id");
  return sessionId.ok ? findSession(deps.queries, principal, sessionId.value, query.project_id) : sessionId;
}
