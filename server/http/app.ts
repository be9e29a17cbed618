import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from "express";
import helmet from "helmet";
import type { Principal } from "../domain/access.ts";
import { withoutKeys } from "../domain/credentials.ts";
import { DRAINING } from "../drain/refusal.ts";
import { authenticate } from "./auth.ts";
import { cors, refuseStrangers } from "./cors.ts";
import type { HttpDeps } from "./deps.ts";
import { Documents } from "./describe/documents.ts";
import type { Group } from "./describe/openapi.ts";
import { mount } from "./endpoint.ts";
import { INTERNAL, invalid, NOT_FOUND, refuseTrouble, sendProblem } from "./problem.ts";
import { refuseKeyInUrl } from "./query.ts";
import { assignRequestId, requestIdOf } from "./request-id.ts";
import { adminResources } from "./routes/admin.ts";
import { documentResources } from "./routes/documents.ts";
import { eventResources } from "./routes/events.ts";
import { healthResources } from "./routes/health.ts";
import { keyResources } from "./routes/keys.ts";
import { metricsResources } from "./routes/metrics.ts";
import { projectResources } from "./routes/projects.ts";
import { purgeResources } from "./routes/purges.ts";
import { sessionResources } from "./routes/sessions.ts";
import { taskResources } from "./routes/tasks.ts";

/** REST, in the order in which a request passes. */
export function createHttpApp(deps: HttpDeps): Express {
  const app = express();
  app.set("trust proxy", deps.trustProxy);
  app.set("case sensitive routing", true);
  // Entity tags are versions, and parameters are parsed by query.ts alone.
  app.set("etag", false);
  app.set("query parser", false);

  app.use(assignRequestId);
  app.use(logRequest(deps));
  // Answers are data and never pages. Whether everything here is HTTPS is for the proxy that does TLS to promise.
  app.use(
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
      strictTransportSecurity: false,
    }),
  );
  app.use(closeWhenDraining(deps), keepPrivate);
  if (deps.isOpen) app.use(refuseStrangers(deps.origins));
  app.use(cors(deps.origins));
  app.use(refuseKeyInUrl);
  const routes = allRoutes(deps);
  mountAll(app, routes.public);
  app.use(authenticate(deps));
  mountAll(app, routes.operations);
  app.use(refuseWhenHeld(deps));
  mountAll(app, routes.work);
  app.use(refuseUnknownPath);
  app.use(answerError(deps));
  return app;
}

/** Every route under its heading, in the order of the documents; by what stands before it. */
function allRoutes(deps: HttpDeps): Readonly<Record<"public" | "operations" | "work", readonly Group[]>> {
  const documents = new Documents(() => [...work, ...operations, ...open], deps.health.version, deps.limits);
  const open: Group[] = [
    { name: "Health", about: "For load balancers and people.", resources: healthResources(deps) },
    { name: "Documents", about: "What the hub says of itself.", resources: documentResources(documents) },
  ];
  const operations: Group[] = [
    {
      name: "Hub",
      about: "For whoever runs the hub; answered in every state of it.",
      resources: [...adminResources(deps), ...metricsResources(deps)],
    },
    { name: "Keys", about: "Managed keys, for operators.", resources: keyResources(deps) },
  ];
  const work: Group[] = [
    { name: "Sessions", about: "Records of one agent's run each.", resources: sessionResources(deps) },
    { name: "Tasks", about: "Units of work inside a session.", resources: taskResources(deps) },
    {
      name: "Projects",
      about: "Boundaries of access and numbering.",
      resources: [...projectResources(deps), ...eventResources(deps)],
    },
    { name: "Purges", about: "Forgetting for good, for operators.", resources: purgeResources(deps) },
  ];
  return { public: open, operations, work };
}

function mountAll(app: Express, groups: readonly Group[]): void {
  for (const { resources } of groups) mount(app, resources);
}

/** Counts answered requests, one line for each; the path only, since a query may hold what somebody should not have put there. */
function logRequest({ log, clock, counts }: HttpDeps): RequestHandler {
  return (request, response, next) => {
    const started = clock.monotonic();
    const { path } = request;
    response.on("close", () => {
      const status = response.writableFinished ? response.statusCode : 499;
      const ms = clock.monotonic() - started;
      counts.onAnswered(status, isStream(response) ? undefined : ms);
      const fields = {
        request_id: requestIdOf(response),
        method: request.method,
        path: withoutKeys(path).slice(0, 300),
        status,
        ms: Math.round(ms),
        fingerprint: (response.locals.principal as Principal | undefined)?.fingerprint,
        ip: request.ip,
      };
      log.debug(fields, "request");
    });
    next();
  };
}

function isStream(response: Response): boolean {
  return String(response.getHeader("Content-Type")).startsWith("text/event-stream");
}

/** Kept-alive connections would outlive the hub's will to stop. */
function closeWhenDraining({ drain }: HttpDeps): RequestHandler {
  return (_request, response, next) => {
    if (drain.isDraining) response.set("Connection", "close");
    next();
  };
}

/** A hub that drains still answers what it knows; one that is held is there for its operator alone. */
function refuseWhenHeld({ drain }: HttpDeps): RequestHandler {
  return (_request, response, next) => {
    if (drain.state === "held") sendProblem(response, DRAINING, requestIdOf(response));
    else next();
  };
}

/** Answers depend on the key, which caches do not know. */
const keepPrivate: RequestHandler = (_request, response, next) => {
  response.set("Cache-Control", "private, no-cache");
  next();
};

const refuseUnknownPath: RequestHandler = (_request, response) => {
  sendProblem(response, NOT_FOUND, requestIdOf(response));
};

/** What was thrown: the database's fault is 503 or 504, a malformed URL 400, everything else a bug. */
function answerError({ log, databaseTrouble }: HttpDeps): ErrorRequestHandler {
  // Express tells an error handler by its four parameters.
  return (error: unknown, request, response, _next) => {
    const request_id = requestIdOf(response);
    if (request.destroyed && !request.complete) {
      log.debug({ request_id }, "the client went away");
      response.destroy();
      return;
    }
    const trouble = databaseTrouble(error);
    if (error instanceof URIError) {
      sendProblem(response, invalid("", "the path is not well-formed"), request_id);
    } else if (trouble !== undefined) {
      log.warn({ request_id, err: error, trouble }, "the database failed a request");
      sendProblem(response, refuseTrouble(trouble), request_id);
    } else {
      log.error({ request_id, err: error }, "a request failed");
      sendProblem(response, INTERNAL, request_id);
    }
    if (!response.writableEnded) response.destroy();
  };
}
