import type { Express, Request, RequestHandler, Response } from "express";
import { z } from "zod";
import type { Actor } from "../../shared/entities.ts";
import { parseInput } from "../../shared/validate.ts";
import { isOperator, isWriter, NOT_AUTHORIZED, type Principal } from "../domain/access.ts";
import { DRAINING } from "../drain/refusal.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { principalOf } from "./auth.ts";
import { hasBody, JSON_TYPES, readJson } from "./body.ts";
import type { HttpDeps } from "./deps.ts";
import { type Declaration, type Endpoint, METHODS, type Resource } from "./describe/declaration.ts";
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

/** What every route answers: a key in the URL, a stranger's page in development, a bug. */
const PUBLIC_ERRORS = ["VALIDATION", "FORBIDDEN", "INTERNAL"] as const;
/** And what every route that asks for a key answers. */
const KEYED_ERRORS = [
  ...PUBLIC_ERRORS,
  ...(["UNAUTHENTICATED", "RATE_LIMITED", "UNAVAILABLE", "DRAINING", "TIMEOUT"] as const),
] as const;
const WRITING_ERRORS = [...KEYED_ERRORS, "PAYLOAD_TOO_LARGE", "OVERLOADED"] as const;

const NOTHING = z.object({});
type Nothing = typeof NOTHING;

type QueryOf<D extends Declaration> = z.infer<D extends { readonly query: infer Q extends z.ZodType } ? Q : Nothing>;
type BodyOf<D extends Declaration> = z.infer<D extends { readonly body: infer B extends z.ZodType } ? B : Nothing>;

/** A request that needs no key. */
export function open(declaration: Declaration, handler: RequestHandler): Endpoint {
  return { access: "public", declaration, errors: PUBLIC_ERRORS, handler };
}

/** A GET. */
export function reading<D extends Declaration>(
  deps: HttpDeps,
  declaration: D,
  handler: (call: Call<QueryOf<D>>) => Promise<Answer>,
): Endpoint {
  const answer = replying(deps, async (request, response) => {
    const call = readCall(deps, declaration, request, response);
    return call.ok ? handler(call.value) : call;
  });
  return { access: "viewer", declaration, errors: KEYED_ERRORS, handler: answer };
}

/** A GET whose answer is begun by what the handler returns, and goes on after that. */
export function streaming<D extends Declaration>(
  deps: HttpDeps,
  declaration: D,
  handler: (call: Call<QueryOf<D>>) => Promise<Outcome<(response: Response) => void>>,
): Endpoint {
  const handle = async (request: Request, response: Response) => {
    // Behind another request's answer it could neither begin nor be told that its client has gone.
    if (response.socket === null) return refused(OWN_CONNECTION);
    const call = readCall(deps, declaration, request, response);
    return call.ok ? handler(call.value) : call;
  };
  const answer = answering(deps, handle, (response, begin) => begin(response));
  return { access: "viewer", declaration, errors: [...KEYED_ERRORS, "OVERLOADED"], handler: answer };
}

/** A request that changes something: for agents and operators, and with a JSON object as its body. */
export function writing<D extends Declaration & { readonly body: z.ZodType }>(
  deps: HttpDeps,
  declaration: D,
  handler: (call: CallWithBody<QueryOf<D>, BodyOf<D>>) => Promise<Answer>,
): Endpoint {
  const answer = replying(deps, async (request, response) => {
    if (!isWriter(principalOf(response))) return refused(NOT_AUTHORIZED);
    if (deps.drain.isDraining) return refused(DRAINING);
    const call = readCall(deps, declaration, request, response);
    if (!call.ok) return call;
    const raw = await readJson(request, declaration.types ?? JSON_TYPES, deps.limits.frame_bytes);
    if (!raw.ok) return raw;
    const body = parseInput(declaration.body, raw.value, deps.limits);
    if (!body.ok) return body;
    return handler({
      ...call.value,
      body: body.value as BodyOf<D>,
      rawBody: raw.value as Readonly<Record<string, unknown>>,
      bytes: body.bytes,
    });
  });
  return { access: "agent", declaration, errors: WRITING_ERRORS, handler: answer };
}

/** A request that changes something and says all in its path; a body is not looked at. For operators. */
export function operating<D extends Declaration>(
  deps: HttpDeps,
  declaration: D,
  handler: (call: Call<QueryOf<D>>) => Promise<Answer>,
): Endpoint {
  const answer = replying(deps, async (request, response) => {
    if (deps.drain.isDraining) return refused(DRAINING);
    const call = readCall(deps, declaration, request, response);
    return call.ok ? handler(call.value) : call;
  });
  return forOperators({ access: "operator", declaration, errors: [...KEYED_ERRORS, "OVERLOADED"], handler: answer });
}

/** A request about the hub itself whose answer is no JSON. For operators. */
export function telling(declaration: Declaration, handler: RequestHandler): Endpoint {
  return forOperators({ access: "operator", declaration, errors: KEYED_ERRORS, handler });
}

/** Lets operators alone through. */
export function forOperators(endpoint: Endpoint): Endpoint {
  const handler: RequestHandler = (request, response, next) => {
    if (isOperator(principalOf(response))) return endpoint.handler(request, response, next);
    sendProblem(response, NOT_AUTHORIZED, requestIdOf(response));
  };
  return { ...endpoint, access: "operator", handler };
}

/** A request about the hub itself, answered also while it drains; a body may be left out. For operators. */
export function administering<D extends Declaration>(
  deps: HttpDeps,
  declaration: D,
  handler: (body: BodyOf<D>) => Promise<Answer> | Answer,
): Endpoint {
  const answer = replying(deps, async (request) => {
    const query = parseQuery(request.url);
    if (!query.ok) return query;
    const raw = hasBody(request) ? await readJson(request, JSON_TYPES, deps.limits.frame_bytes) : accepted({});
    if (!raw.ok) return raw;
    const body = parseInput(declaration.body ?? NOTHING, raw.value, deps.limits);
    return body.ok ? handler(body.value as BodyOf<D>) : body;
  });
  return forOperators({
    access: "operator",
    declaration,
    errors: [...KEYED_ERRORS, "PAYLOAD_TOO_LARGE"],
    isBodyOptional: true,
    handler: answer,
  });
}

function readCall<D extends Declaration>(
  { limits }: HttpDeps,
  declaration: D,
  request: Request,
  response: Response,
): Outcome<Call<QueryOf<D>>> {
  const given = parseQuery(request.url);
  if (!given.ok) return given;
  const query = parseInput(declaration.query ?? NOTHING, given.value, limits);
  if (!query.ok) return query;
  const principal = principalOf(response);
  return {
    ok: true,
    value: {
      requestId: requestIdOf(response),
      principal,
      actor: { kind: principal.role === "agent" ? "agent" : "operator", id: `key:${principal.fingerprint}` },
      path: request.params as Record<string, string>,
      query: query.value as QueryOf<D>,
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

/** Every other method of the path is 405. Express answers HEAD with the GET. */
export function mount(app: Express, resources: readonly Resource[]): void {
  for (const resource of resources) {
    const route = app.route(resource.path);
    const allowed: string[] = [];
    for (const method of METHODS) {
      const endpoint = resource[method];
      if (endpoint === undefined) continue;
      route[method](endpoint.handler);
      allowed.push(method === "get" ? "GET, HEAD" : method.toUpperCase());
    }
    route.all((request, response) =>
      sendProblem(response, refuseMethod(request.method, allowed.join(", ")), requestIdOf(response)),
    );
  }
}
