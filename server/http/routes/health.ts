import type { RequestHandler } from "express";
import { isOperator } from "../../domain/access.ts";
import { within } from "../../patience.ts";
import { principalIfAny } from "../auth.ts";
import { HEALTH, READY } from "../declared/operations.ts";
import type { Health, HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { open, send } from "../endpoint.ts";

/** A database that needs longer is as good as away. */
const PING_WAIT_MS = 2_000;

/** For load balancers and people: no key needed. */
export function healthResources(deps: HttpDeps): Resource[] {
  return [
    { path: "/health", get: open(HEALTH, alive(deps)) },
    { path: "/health/ready", get: open(READY, ready(deps)) },
  ];
}

/** The process answers; nothing else is asked or touched. */
function alive({ health }: HttpDeps): RequestHandler {
  return (_request, response) => {
    send(response, { status: 200, body: { status: "ok", uptime_s: health.uptimeS(), version: health.version } });
  };
}

/** Whether the hub can do its work now; what exactly is amiss is told to operators only. */
function ready(deps: HttpDeps): RequestHandler {
  const { health, drain } = deps;
  return async (request, response) => {
    const latency_ms = await within(PING_WAIT_MS, health.ping()).catch(() => undefined);
    const isUp = latency_ms !== undefined;
    const mongodb = isUp ? { status: "ok", latency_ms } : { status: "unavailable" };
    const isReady = isUp && !drain.isDraining;
    const { mode } = health.fanOut.state;
    const principal = await principalIfAny(deps, request);
    const showsChecks = principal !== undefined && isOperator(principal);
    const redis = mode === "off" ? {} : { redis: redisCheck(health.fanOut) };
    send(response, {
      status: isReady ? 200 : 503,
      body: {
        status: isReady ? (mode === "degraded" ? "degraded" : "ok") : "unavailable",
        ...(showsChecks ? { checks: { mongodb, ...redis } } : {}),
      },
    });
  };
}

/** Entries of other hubs so far, own ones that others were not told of, and messages that no hub has sent. */
function redisCheck({ state, trouble, counts }: Health["fanOut"]): object {
  if (state.mode !== "degraded") return { status: "ok", ...counts };
  return { status: "degraded", reason: state.reason, ...(trouble === undefined ? {} : { trouble }), ...counts };
}
