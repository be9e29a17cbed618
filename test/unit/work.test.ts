import { expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { LogChange } from "../../server/domain/records.ts";
import { Heartbeats } from "../../server/liveness/heartbeats.ts";
import type { Lease } from "../../server/liveness/leases.ts";
import type { OwnedSession } from "../../server/liveness/owners.ts";
import { MemoryBeats } from "../../server/memory/beats.ts";
import type { Project } from "../../server/writer/project.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { Beat } from "../../shared/messages/heartbeat.ts";
import { AT, atSecond, creation, entryOf, QUIET } from "../support/entries.ts";

const project = { id: "p" } as Project;

/** A hub's heartbeats, one session open here, and a clock that a test sets. */
function startHub(beats = new MemoryBeats(), hubId = "hub.1") {
  let seconds = 0;
  const heartbeats = new Heartbeats({
    hubId,
    beats,
    leases: { renew: () => {} },
    clock: { now: () => Date.parse(AT) + seconds * 1_000, monotonic: () => seconds * 1_000 },
    log: QUIET,
    bounds: BOUNDS,
    stalledAfterMs: 600_000,
    publish: () => {},
  });
  let owned: OwnedSession;
  const at = (second: number) => {
    seconds = second;
  };
  return {
    beats,
    open(second: number, incarnation = 1): void {
      at(second);
      const connection = { id: "c", owned: new Map(), fenced: () => {}, sessionChanged: () => {} };
      owned = { project, sessionId: "s", incarnation, connection, lease: {} as Lease };
      connection.owned.set("s", owned);
      heartbeats.onBeat(owned);
    },
    beat(second: number, fields: Omit<Beat, "session_id" | "incarnation"> = {}): void {
      at(second);
      heartbeats.onBeat(owned, { session_id: "s", incarnation: owned.incarnation, ...fields });
    },
    change(second: number, change: Partial<LogChange>): void {
      const whole = { ...creation(9), type: "updated", ...change } as LogChange;
      heartbeats.onEntry(project, entryOf([whole], { at: atSecond(second) }));
    },
    activityAt: () => heartbeats.lastOf("p", "s")?.last_activity_at,
    last: (): HeartbeatInfo | undefined => heartbeats.lastOf("p", "s"),
    stop: () => heartbeats.stop(),
  };
}

const agent = { kind: "agent", id: "a" } as const;
const operator = { kind: "operator", id: "o" } as const;
const hub = { kind: "hub", id: "h" } as const;

test("[F20] other words and another progress are moves; the same again, metrics, and an open are none", async () => {
  const one = startHub();
  one.open(0);
  one.beat(1);
  one.beat(2, { metrics: { cpu: 1 } });
  expect(one.last()).toEqual({ last_heartbeat_at: atSecond(2), metrics: { cpu: 1 } });
  one.beat(3, { activity: "linking" });
  expect(one.activityAt()).toBe(atSecond(3));
  one.beat(4, { activity: "linking", metrics: { cpu: 2 } });
  expect(one.activityAt()).toBe(atSecond(3));
  one.beat(5, { activity: "linking", progress: 0.5 });
  expect(one.activityAt()).toBe(atSecond(5));
  one.open(6);
  one.beat(7, { activity: "linking", progress: 0.5 });
  expect(one.activityAt()).toBe(atSecond(5));
  one.beat(8);
  expect(one.activityAt()).toBe(atSecond(8));
  await one.stop();
});

test("[F20] changes by agent and operator are moves; the hub's are none, nor are opens", async () => {
  const one = startHub();
  one.open(0);
  one.change(1, { actor: agent, type: "created" });
  one.change(1, { actor: agent, type: "reopened" });
  one.change(2, { actor: operator });
  expect(one.activityAt(), "an operator makes no agent talkative").toBeUndefined();
  one.change(3, { actor: agent, kind: "task", type: "created" });
  expect(one.activityAt()).toBe(atSecond(3));
  one.change(4, { actor: hub });
  expect(one.activityAt()).toBe(atSecond(3));
  one.change(5, { actor: operator });
  expect(one.activityAt()).toBe(atSecond(5));
  one.change(6, { actor: agent, session_id: "another" });
  expect(one.activityAt()).toBe(atSecond(5));
  await one.stop();
});

test("[F20] a new owner has told nothing yet", async () => {
  const one = startHub();
  one.open(0);
  one.beat(1, { activity: "linking" });
  one.open(2, 2);
  expect(one.last()).toEqual({ last_heartbeat_at: atSecond(2) });
  await one.stop();
});

test.each<[string, (next: ReturnType<typeof startHub>) => void, number | undefined]>([
  ["before the first heartbeat", () => {}, 1],
  ["with the same words", (next) => next.beat(9, { activity: "linking" }), 1],
  ["with other words", (next) => next.beat(9, { activity: "packing" }), 9],
  ["with a change", (next) => next.change(9, { actor: agent }), 9],
  ["as another process", (next) => next.open(9, 2), undefined],
])("[F20] work that stands still on a hub that ended stands still on the next: %s", async (_how, then, expected) => {
  const former = startHub();
  former.open(0);
  former.beat(1, { activity: "linking" });
  former.beat(5, { activity: "linking" });
  await former.stop();
  const next = startHub(former.beats, "hub.2");
  next.open(8);
  then(next);
  await next.stop();
  expect(next.activityAt()).toBe(expected === undefined ? undefined : atSecond(expected));
  const stored = (await next.beats.read(["p/s"])).get("p/s");
  expect(stored?.info.last_activity_at).toBe(next.activityAt());
});

test("[F20] what moved before a failed write-back is not taken back by what is stored", async () => {
  const former = startHub();
  former.open(0);
  former.beat(1, { activity: "linking" });
  await former.stop();
  const next = startHub(former.beats, "hub.2");
  next.open(8);
  next.beat(9, { activity: "packing" });
  next.beat(10, { activity: "linking" });
  await next.stop();
  expect(next.activityAt()).toBe(atSecond(10));
});
