import { setTimeout as sleep } from "node:timers/promises";
import { percentiles } from "../../support/statistics.ts";
import type { History } from "../check-history.ts";
import { atMost, MIB } from "../judging.ts";
import { highest, lagMs, remoteLags, type Span, wholeAfterMs, within } from "../lag.ts";
import type { Scenario, Scene } from "../scenario.ts";

const BEFORE_MS = 15_000;
const AFTER_MS = 8_000;
/** So that what grows is what is kept, not garbage that waits to be collected. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=192 --max-semi-space-size=4" };
/** What a hub may come to hold more than before; its own bounds for Redis are half of it. */
const GROWTH_MIB = 64;

export const redisDown: Scenario = {
  name: "redis-down",
  question:
    "Redis is killed under load and started again: is everything acked, how far behind are remote viewers, when are they whole, and does a hub grow?",
  defaults: { seconds: 60 },
  fleet: { hubs: 3, redis: "direct", env: SMALL_HEAP },
  moves: false,
  trouble: (scene) =>
    redisAway(scene, {
      leave: (redis) => redis.kill(),
      comeBack: (redis) => redis.start(),
      behindMs: 2_000,
    }),
};

export const redisStopped: Scenario = {
  ...redisDown,
  name: "redis-stopped",
  question:
    "Redis is stopped under load (SIGSTOP), alive and silent, and goes on later: the same questions, though nobody says that it is away.",
  defaults: { seconds: 20 },
  trouble: (scene) =>
    redisAway(scene, {
      leave: (redis) => redis.freeze(),
      comeBack: (redis) => redis.thaw(),
      // Two probes without an echo have to pass before a hub looks for itself.
      behindMs: 6_000,
    }),
};

interface Absence {
  readonly leave: (redis: NonNullable<Scene["fleet"]["redis"]>) => Promise<void> | void;
  readonly comeBack: (redis: NonNullable<Scene["fleet"]["redis"]>) => Promise<void> | void;
  /** Remote viewers may be so far behind. */
  readonly behindMs: number;
}

async function redisAway({ settings, fleet, gauge }: Scene, { leave, comeBack, behindMs }: Absence) {
  if (fleet.redis === undefined) throw new Error("there is no Redis to lose");
  const fromMs = performance.now();
  await sleep(BEFORE_MS);
  const awayMs = performance.now();
  await leave(fleet.redis);
  await sleep(settings.seconds * 1_000);
  const backMs = performance.now();
  await comeBack(fleet.redis);
  await fleet.isLive();
  await sleep(AFTER_MS);
  const [before, away, all] = [
    { fromMs, toMs: awayMs },
    { fromMs: awayMs, toMs: backMs },
    { fromMs: awayMs, toMs: performance.now() },
  ] as const;
  return (history: History) => {
    const lags = remoteLags(history);
    const lagsIn = (span: Span) => lags.filter(({ ackedMs }) => within(span, ackedMs)).map(lagMs);
    const sent = history.publishes.filter(({ course }) => course && within(away, course.sent_ms));
    const unacked = sent.filter(({ outcome, course }) => outcome === "unknown" || course?.attempts !== 1);
    const settled = history.viewers.filter(({ hub }) => hub !== undefined);
    const growth = gauge.growthBytes(before, all) / MIB;
    const behind = percentiles(lagsIn(away));
    return {
      rows: [
        ["publishes while Redis was away", sent.length],
        ["answers before/meanwhile, p99 ms", `${answersP99(history, before)}/${answersP99(history, away)}`],
        ["ack to remote viewer before, p50/p99 ms", both(percentiles(lagsIn(before)))],
        ["ack to remote viewer meanwhile, p50/p99 ms", both(behind)],
        ["a hub's memory before, at most, MiB", Math.round(gauge.residentPeak(before) / MIB)],
        ["bytes waiting for Redis, at most", gauge.pendingPeak()],
      ] as const,
      verdicts: [
        {
          claim: "publishes are acked at the first attempt while Redis is away",
          target: "100 %",
          measured: `${sent.length - unacked.length} of ${sent.length}`,
          isMet: sent.length > 0 && unacked.length === 0,
        },
        atMost("remote viewers are behind, at most", behind.max, behindMs, "ms"),
        atMost("whole again after Redis is back", wholeAfterMs(lags, settled, backMs), 2_000, "ms"),
        atMost(
          "ack to remote viewer once whole, p99",
          percentiles(lagsIn({ fromMs: backMs + 2_000, toMs: all.toMs })).p99,
          500,
          "ms",
        ),
        atMost("a hub grows by", highest([0, growth]), GROWTH_MIB, "MiB"),
      ],
    };
  };
}

function answersP99(history: History, span: Span): number {
  const answers = history.publishes.flatMap(({ course }) =>
    course && within(span, course.sent_ms) ? [course.settled_ms - course.sent_ms] : [],
  );
  return Math.round(percentiles(answers).p99);
}

function both({ p50, p99 }: { p50: number; p99: number }): string {
  return `${Math.round(p50)}/${Math.round(p99)}`;
}
