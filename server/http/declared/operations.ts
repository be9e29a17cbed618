import { z } from "zod";
import {
  Alive,
  DrainProgress,
  DrainRequest,
  HubList,
  HubStats,
  LogLevelAnswer,
  LogLevelRequest,
  Ready,
} from "../../../shared/rest/operations.ts";
import { declare } from "../describe/declaration.ts";
import { AT } from "./examples.ts";

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

export const LIST_HUBS = declare({
  name: "listHubs",
  summary: "Every hub process of this database, as this hub sees them",
  detail: "What this hub does not know, or not yet, is `unknown` or absent.",
  answers: { 200: { what: "All of them, by id", body: HubList } },
  examples: [
    {
      status: 200,
      answer: {
        items: [
          {
            hub_id: PROGRESS.hub_id,
            self: true,
            state: "alive",
            started_at: AT.created,
            sessions: 214,
            key_connections: 12,
          },
          { hub_id: "hub-2.0be41f77", self: false, state: "dead", started_at: AT.created, sessions: 180 },
        ],
        length: 2,
      },
    },
  ],
});

export const STATS = declare({
  name: "getStats",
  summary: "Figures of this hub",
  detail: "Those of `/metrics` that people ask for, as JSON.",
  answers: { 200: { what: "In every state of the hub", body: HubStats } },
  examples: [
    {
      status: 200,
      answer: {
        hub_id: PROGRESS.hub_id,
        version: "0.1.0",
        uptime_s: 4711,
        state: "serving",
        log_level: "info",
        connections: { agents: 10, viewers: 2, event_streams: 0 },
        sessions: 214,
        unanswered_messages: 0,
        heartbeats: 91_204,
        writer: { entries: 5120, changes: 9034, lost_races: 3, unknown_appends: 0, open_jobs: 0, open_bytes: 0 },
        fan_out: { mode: "live", received: 1290, garbage: 0, dropped: 0, pending_bytes: 0 },
        mongodb_latency_ms: 0.4,
        event_loop_lag_ms: 1.2,
        memory: {
          rss_bytes: 156_000_000,
          heap_used_bytes: 61_000_000,
          heap_total_bytes: 82_000_000,
          external_bytes: 9_000_000,
        },
      },
    },
  ],
});

export const LOG_LEVEL = declare({
  name: "setLogLevel",
  summary: "Change the least level of this hub's log lines",
  detail:
    "With `minutes` it goes back by itself to the last one that was set without; without `minutes` it stays until the hub ends.",
  body: LogLevelRequest,
  answers: { 200: { what: "The level before, and now", body: LogLevelAnswer } },
  examples: [
    {
      body: { level: "debug", minutes: 10 },
      status: 200,
      answer: { hub_id: PROGRESS.hub_id, before: "info", level: "debug", until: AT.asked, afterwards: "info" },
    },
  ],
});

export const METRICS = declare({
  name: "getMetrics",
  summary: "Figures of this hub for Prometheus",
  answers: { 200: { what: "In the text format of Prometheus", type: "text/plain" } },
  examples: [{ status: 200 }],
});
