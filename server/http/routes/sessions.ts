import type { z } from "zod";
import type { Session } from "../../../shared/entities.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { mergePatch } from "../../../shared/merge-patch.ts";
import type { SessionEdit } from "../../../shared/messages/changes-publish.ts";
import type { HistoryQuery } from "../../../shared/rest/changes.ts";
import type { NewSession, ProjectQuery, SessionsQuery } from "../../../shared/rest/sessions.ts";
import { mayRead, mayWrite, NOT_AUTHORIZED } from "../../domain/access.ts";
import { findSession } from "../../queries/find-session.ts";
import { listSessions } from "../../queries/list.ts";
import { readHistory } from "../../queries/session-history.ts";
import { viewSessions, viewWritten } from "../../queries/session-view.ts";
import { SharedReads } from "../../shared-reads.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import {
  CLOSE_SESSION,
  CREATE_SESSION,
  EXPIRE_SESSION,
  GET_SESSION,
  LIST_SESSIONS,
  SESSION_CHANGES,
  UPDATE_SESSION,
} from "../declared/sessions.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { type Call, type CallWithBody, operating, type Reply, reading, writing } from "../endpoint.ts";
import { editSession } from "../entity-edit.ts";
import { etagOf, isUnchanged } from "../etag.ts";
import { parsePathId } from "../path.ts";

/** What a request without a body counts as in the writer's queue. */
const EXPIRE_BYTES = 200;

type OneQuery = z.infer<typeof ProjectQuery>;

export function sessionResources(deps: HttpDeps): Resource[] {
  // Dashboards and operators ask for the same list, many at a time.
  const lists = new SharedReads<string, Outcome<Reply>>();
  return [
    {
      path: "/sessions",
      get: reading(deps, LIST_SESSIONS, (call) =>
        lists.read(JSON.stringify([call.principal.scope.patterns, call.query]), () => list(deps, call)),
      ),
      post: writing(deps, CREATE_SESSION, (call) => create(deps, call)),
    },
    {
      path: "/sessions/:session_id",
      get: reading(deps, GET_SESSION, (call) => show(deps, call)),
      patch: writing(deps, UPDATE_SESSION, (call) => edit(deps, call, call.body)),
    },
    {
      path: "/sessions/:session_id/close",
      post: writing(deps, CLOSE_SESSION, (call) => edit(deps, call, call.body)),
    },
    {
      path: "/sessions/:session_id/expire",
      post: operating(deps, EXPIRE_SESSION, (call) => expire(deps, call)),
    },
    {
      path: "/sessions/:session_id/changes",
      get: reading(deps, SESSION_CHANGES, (call) => history(deps, call)),
    },
  ];
}

async function list(
  deps: HttpDeps,
  { principal, query }: Call<z.infer<typeof SessionsQuery>>,
): Promise<Outcome<Reply>> {
  const { limit, cursor, ...filter } = query;
  if (filter.project_id !== undefined && !mayRead(principal, filter.project_id)) return refused(NOT_AUTHORIZED);
  const page = await listSessions(deps.queries, filter, principal.scope, { limit, cursor });
  if (!page.ok) return page;
  const items = await viewSessions(deps, page.value.items);
  return accepted({ status: 200, json: JSON.stringify({ ...page.value, items }) });
}

async function show(deps: HttpDeps, call: Call<z.infer<typeof GET_SESSION.query>>): Promise<Outcome<Reply>> {
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

async function history(deps: HttpDeps, call: Call<z.infer<typeof HistoryQuery>>): Promise<Outcome<Reply>> {
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
