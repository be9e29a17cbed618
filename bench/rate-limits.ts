// What do limits and counts cost each publish? CPU of the gate of a connection with and without them, beside what a publish
// costs a hub under load in all (bench/results/durable-changes.md).

import type { z } from "zod";
import { BOUNDS } from "../server/bounds.ts";
import { RequestCounts } from "../server/counts/requests.ts";
import { ProjectScope } from "../server/domain/project-scope.ts";
import { type ConnectionRates, RateLimits } from "../server/limits/rate-limits.ts";
import { counted, Dispatch, type Route, route } from "../server/realtime/dispatch.ts";
import { accepted } from "../server/writer/outcome.ts";
import { DEFAULT_LIMITS } from "../shared/limits.ts";
import { ChangesPublish } from "../shared/messages/changes-publish.ts";
import { publishReport, round } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";

/** Of the 120 to 165 µs that a publish costs a hub. */
const TARGET_US = 1.2;
const PUBLISHES = 100_000;
const settings = readSettings({ pairs: 15, seconds: 1, warmupSeconds: 1 }, {});

const log = { debug() {}, info() {}, warn() {}, error() {} };
const clock = { now: Date.now, monotonic: () => performance.now() };
const principal = { role: "agent", scope: ProjectScope.all, keyId: "key-1", fingerprint: "0a1b2c3d" } as const;
// What is sent here in a second stays below these; what is measured is the way of whoever keeps to the rate.
const limits = { ...DEFAULT_LIMITS, publishes_per_second: 1e9, key_publishes_per_second: 1e9 };
const rates = new RateLimits({ limits, failedKeysPerMinute: 10, clock, random: Math.random, log, bounds: BOUNDS });
const NONE: ConnectionRates = { take: () => undefined };

const message = {
  session_id: "build-17",
  incarnation: 1,
  op: 1,
  changes: [{ kind: "session", metadata: { note: "x".repeat(200) } }],
};

function gate(own: ConnectionRates, schema: z.ZodType) {
  const connection = { id: "c1", peer: { principal } };
  const routes = new Map<string, Route<typeof connection>>([
    ["changes:publish", route(schema, () => accepted({}), { rate: "publishes" })],
  ]);
  const unanswered = { count: 0 };
  const options = {
    limits,
    clock,
    log,
    maxRefusalsPerMinute: 100,
    unanswered,
    rates: own,
    unknown: new RequestCounts(),
  };
  const events = { onTooManyErrors() {}, onFlood() {}, onAnswered() {} };
  return new Dispatch(connection, counted(routes), options, events);
}

/** Microseconds of this process's CPU a publish. */
function measure(dispatch: ReturnType<typeof gate>): number {
  const before = process.cpuUsage();
  for (let sent = 0; sent < PUBLISHES; sent++) dispatch.onEvent(["changes:publish", message, () => {}]);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / PUBLISHES;
}

const connection = { id: "c1", peer: { principal } };
const sides = { with: gate(rates.connection(connection), ChangesPublish), without: gate(NONE, ChangesPublish) };
for (const dispatch of [sides.with, sides.without, sides.with, sides.without]) measure(dispatch);
const runs = Array.from({ length: settings.pairs }, (_, pair) => {
  const first = measure(pair % 2 === 0 ? sides.with : sides.without);
  const second = measure(pair % 2 === 0 ? sides.without : sides.with);
  return pair % 2 === 0 ? { with: first, without: second } : { with: second, without: first };
});
const figures = {
  with: median(runs.map((run) => run.with)),
  without: median(runs.map((run) => run.without)),
  limits: median(runs.map((run) => run.with - run.without)),
};
const isMet = figures.limits <= TARGET_US;
publishReport(
  {
    name: "rate-limits",
    question: "What CPU do the rates of connection and key cost each publish that keeps to them?",
    settings: { pairs: settings.pairs, publishes: PUBLISHES },
    tables: [
      {
        title: "CPU from the message to its ack, without the hub behind it",
        columns: ["gate", "µs a publish, median"],
        rows: [
          ["with both rates", round(figures.with)],
          ["without", round(figures.without)],
          ["difference within a pair", round(figures.limits)],
        ],
      },
    ],
    verdicts: [
      {
        claim: "rates cost a publish a hundredth of what it costs a hub",
        target: `≤ ${TARGET_US} µs`,
        measured: `${round(figures.limits)} µs`,
        isMet,
      },
    ],
    runs,
  },
  settings.out,
);
process.exitCode = isMet ? 0 : 1;
