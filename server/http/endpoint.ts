import type { Express, Request, RequestHandler, Response } from "express";
import type { z } from "zod";
import type { Actor } from "../../shared/entities.ts";
import { parseInput } from "../../shared/validate.ts";
import { isOperator, isWriter, NOT_AUTHORIZED, type Principal } from "../domain/access.ts";
import { DRAINING } from "../drain/refusal.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { principalOf } from "./auth.ts";
import { hasBody, JSON_TYPES, readJson } from "./body.ts";
import type { HttpDeps } from "./deps.ts";
import { type HttpRefusal, OWN_CONNECTION, refuseMethod, sendProblem, TIMEOUT } from "./problem.ts";
import { parseQuery } from "./query.ts";
import { requestIdOf } from "./request-id.ts";

/** A request as a handler sees it: parameters are validated text, nothing of HTTP but a header it asks for. */
export interface Call<Query> {
  readonly requestId: string;
  readonly principal: Principal;
  readonly actor: Actor;
  /** Placeholders of the path, not validated yet. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: Query;
  header(name: string): string | undefined;
}

export interface CallWithBody<Query, Body> extends Call<Query> {
  readonly body: Body;
  /** The body before fields that the schema does not know were dropped. */
  readonly rawBody: Readonly<Record<string, unknown>>;
  /** Approximate size, for the writer's bounds. */
  readonly bytes: number;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The body as JSON already, where many share it. */
  readonly json?: string;
}

/** What the edge answers: a reply, or a known "no". Handlers throw only when something broke. */
type Answer<T = Reply> = Outcome<T> | { readonly ok: false; readonly refusal: HttpRefusal };

/** A GET. */
export function reading<Q extends z.ZodType>(
  deps: HttpDeps,
  querySchema: Q,
  handler: (call: Call<z.infer<Q>>) => Promise<Answer>,
): RequestHandler {
  return replying(deps, async (request, response) => {
    const call = readCall(deps, querySchema, request, response);
    return call.ok ? handler(call.value) : call;
  });
}

/** A GET whose answer is begun by what the handler returns, and goes on after that. */
export function streaming<Q extends z.ZodType>(
  deps: HttpDeps,
  querySchema: Q,
  handler: (call: Call<z.infer<Q>>) => Promise<Outcome<(response: Response) => void>>,
): RequestHandler {
  const handle = async (request: Request, response: Response) => {
    // Behind another request's answer it could neither begin nor be told that its client has gone.
    if (response.socket === null) return refused(OWN_CONNECTION);
    const call = readCall(deps, querySchema, request, response);
    return call.ok ? handler(call.value) : call;
  };
  return answering(deps, handle, (response, begin) => begin(response));
}

/** A request that changes something: for agents and operators, and with a JSON object as its body. */
export function writing<Q extends z.ZodType, B extends z.ZodType>(
  deps: HttpDeps,
  schemas: { readonly query: Q; readonly body: B; readonly types: readonly string[] },
  handler: (call: CallWithBody<z.infer<Q>, z.infer<B>>) => Promise<Answer>,
): RequestHandler {
  return replying(deps, async (request, response) => {
    if (!isWriter(principalOf(response))) return refused(NOT_AUTHORIZED);
    if (deps.drain.isDraining) return refused(DRAINING);
    const call = readCall(deps, schemas.query, request, response);
    if (!call.ok) return call;
    const raw = await readJson(request, schemas.types, deps.limits.frame_bytes);
    if (!raw.ok) return raw;
    const body = parseInput(schemas.body, raw.value, deps.limits);
    if (!body.ok) return body;
    return handler({
      ...call.value,
      body: body.value,
      rawBody: raw.value as Readonly<Record<string, unknown>>,
      bytes: body.bytes,
    });
  });
}

/** A request that changes something and says all in its path; a body is not looked at. For operators. */
export function operating<Q extends z.ZodType>(
  deps: HttpDeps,
  querySchema: Q,
  handler: (call: Call<z.infer<Q>>) => Promise<Answer>,
): RequestHandler {
  return replying(deps, async (request, response) => {
    if (!isOperator(principalOf(response))) return refused(NOT_AUTHORIZED);
    if (deps.drain.isDraining) return refused(DRAINING);
    const call = readCall(deps, querySchema, request, response);
    return call.ok ? handler(call.value) : call;
  });
}

/** Lets operators alone through to a handler. */
export function forOperators(handler: RequestHandler): RequestHandler {
  return (request, response, next) => {
    if (isOperator(principalOf(response))) return handler(request, response, next);
    sendProblem(response, NOT_AUTHORIZED, requestIdOf(response));
  };
}

/** A request about the hub itself, answered also while it drains; a body may be left out. For operators. */
export function administering<B extends z.ZodType>(
  deps: HttpDeps,
  bodySchema: B,
  handler: (body: z.infer<B>) => Promise<Answer> | Answer,
): RequestHandler {
  return replying(deps, async (request, response) => {
    if (!isOperator(principalOf(response))) return refused(NOT_AUTHORIZED);
    const query = parseQuery(request.url);
    if (!query.ok) return query;
    const raw = hasBody(request) ? await readJson(request, JSON_TYPES, deps.limits.frame_bytes) : accepted({});
    if (!raw.ok) return raw;
    const body = parseInput(bodySchema, raw.value, deps.limits);
    return body.ok ? handler(body.value) : body;
  });
}

function readCall<Q extends z.ZodType>(
  { limits }: HttpDeps,
  querySchema: Q,
  request: Request,
  response: Response,
): Outcome<Call<z.infer<Q>>> {
  const given = parseQuery(request.url);
  if (!given.ok) return given;
  const query = parseInput(querySchema, given.value, limits);
  if (!query.ok) return query;
  const principal = principalOf(response);
  return {
    ok: true,
    value: {
      requestId: requestIdOf(response),
      principal,
      actor: { kind: principal.role === "agent" ? "agent" : "operator", id: `key:${principal.fingerprint}` },
      path: request.params as Record<string, string>,
      query: query.value,
      header: (name) => request.get(name),
    },
  };
}

/** Sends what the handler says, or `TIMEOUT` when it says nothing in time. Rejections go to the app's error handler. */
function answering<T>(
  { requestTimeoutMs }: HttpDeps,
  handle: (request: Request, response: Response) => Promise<Answer<T>>,
  deliver: (response: Response, value: T) => void,
): RequestHandler {
  return async (request, response) => {
    const timeout = Promise.withResolvers<Answer<T>>();
    const timer = setTimeout(() => timeout.resolve(refused(TIMEOUT)), requestTimeoutMs);
    try {
      const answer = await Promise.race([handle(request, response), timeout.promise]);
      if (!answer.ok) sendProblem(response, answer.refusal, requestIdOf(response));
      else deliver(response, answer.value);
    } finally {
      clearTimeout(timer);
    }
  };
}

function replying(deps: HttpDeps, handle: (request: Request, response: Response) => Promise<Answer>): RequestHandler {
  return answering(deps, handle, send);
}

export function send(response: Response, { status, headers, body, json }: Reply): void {
  response.status(status).set(headers ?? {});
  if (json !== undefined) response.type("json").send(json);
  else if (body === undefined) response.end();
  else response.json(body);
}

/** A path and what it understands. */
export interface Resource {
  readonly path: string;
  readonly get?: RequestHandler;
  readonly post?: RequestHandler;
  readonly patch?: RequestHandler;
  readonly delete?: RequestHandler;
}

/** Every other method of the path is 405. Express answers HEAD with the GET. */
export function mount(app: Express, resources: readonly Resource[]): void {
  for (const { path, get, post, patch, delete: remove } of resources) {
    const route = app.route(path);
    if (get !== undefined) route.get(get);
    if (post !== undefined) route.post(post);
    if (patch !== undefined) route.patch(patch);
    if (remove !== undefined) route.delete(remove);
    const methods = [get && "GET, HEAD", post && "POST", patch && "PATCH", remove && "DELETE"].filter(
      (method) => method !== undefined,
    );
    route.all((request, response) =>
      sendProblem(response, refuseMethod(request.method, methods.join(", ")), requestIdOf(response)),
    );
  }
}
