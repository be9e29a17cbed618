import { z } from "zod";
import { Alive, DrainProgress, DrainRequest, Ready } from "../../../shared/rest/operations.ts";
import { declare } from "../describe/declaration.ts";

const PROGRESS = {
  hub_id: "hub-1.9f2c61d0",
  state: "serving",
  hold: false,
  under_way: 0,
  connections: 12,
  connections_before: 0,
};

export const HEALTH = declare({
  name: "getHealth",
  summary: "Whether the process answers",
  detail: "Touches neither MongoDB nor Redis.",
  answers: { 200: { what: "It does", body: Alive } },
  examples: [{ status: 200, answer: { status: "ok", uptime_s: 4711, version: "0.1.0" } }],
});

export const READY = declare({
  name: "getReady",
  summary: "Whether the hub can do its work now",
  detail: "With an operator's key also why not, in `checks`.",
  answers: {
    200: { what: "It can; `degraded` while Redis is away", body: Ready },
    503: { what: "`unavailable`: MongoDB is away, or the hub drains", body: Ready },
  },
  examples: [{ status: 200, answer: { status: "ok", checks: { mongodb: { status: "ok", latency_ms: 0.4 } } } }],
});

export const DRAIN_PROGRESS = declare({
  name: "getDrain",
  summary: "How the drain of this hub stands",
  answers: { 200: { what: "In every state of the hub", body: DrainProgress } },
  examples: [{ status: 200, answer: PROGRESS }],
});

export const START_DRAIN = declare({
  name: "startDrain",
  summary: "Take this hub out of service",
  detail:
    "Clients move to the other hubs, then the process ends; with `hold` it stays without clients until it is resumed.",
  body: DrainRequest,
  answers: { 202: { what: "It begins, or is under way", body: DrainProgress } },
  examples: [{ body: { hold: true }, status: 202, answer: { ...PROGRESS, state: "draining", hold: true } }],
});

export const RESUME = declare({
  name: "resume",
  summary: "Take a held hub back into service",
  body: z.object({}),
  answers: { 200: { what: "It serves", body: DrainProgress } },
  examples: [{ body: {}, status: 200, answer: PROGRESS }],
});

export const METRICS = declare({
  name: "getMetrics",
  summary: "Figures of this hub for Prometheus",
  answers: { 200: { what: "In the text format of Prometheus", type: "text/plain" } },
  examples: [{ status: 200 }],
});
