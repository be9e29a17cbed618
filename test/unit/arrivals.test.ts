import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { Entry } from "../../server/domain/records.ts";
import { judgeArrival } from "../../server/following/arrivals.ts";
import { missedSince, prepareJoin } from "../../server/following/join.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { FanOut } from "../../server/ports.ts";
import { Core } from "../support/core.ts";
import { creation, entryOf } from "../support/entries.ts";
import { withMethods } from "../support/scripted.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const EPOCH = "e".repeat(16);

/** The n-th entry of project `p`, with one change. */
function nth(seq: number, over: Partial<Entry> = {}): Entry {
  return entryOf([creation(seq, `s${seq}`)], { epoch: EPOCH, hub_id: "other.1", ...over });
}

interface Scene {
  readonly time: VirtualTime;
  readonly log: MemoryChangeLog;
  /** Reads of the log after the head, so far. */
  readonly reads: () => number;
  /** from_seq of what viewers got, in order. */
  readonly frames: readonly number[];
  readonly hub: Core;
  /** As another hub would say it. */
  readonly hear: (entry: Entry) => void;
}

/** A hub that follows project `p`, whose log has three entries that it has not heard of yet. */
function play(work: (scene: Scene) => Promise<void>, bounds: Partial<Record<keyof typeof BOUNDS, number>> = {}) {
  const time = new VirtualTime();
  const log = new MemoryChangeLog();
  let reads = 0;
  let hear: Scene["hear"] = () => {};
  const fanOut: FanOut = {
    state: { mode: "live" },
    trouble: undefined,
    counts: { received: 0, garbage: 0, dropped: 0, pending_bytes: 0 },
    publish() {},
    onEntry(listener) {
      hear = (entry) => listener(entry, 100);
    },
    onDoubt() {},
    onState() {},
    async start() {},
    async stop() {},
  };
  const changeLog = withMethods(log, (real) => ({
    readAfter: (...of) => {
      reads += 1;
      return real.readAfter(...of);
    },
  }));
  const projections = new MemoryProjections();
  const frames: number[] = [];
  return time.run(
    () => 0.5,
    60_000,
    async () => {
      const hub = new Core({ hubId: "h.1", time, changeLog, projections, bounds, fanOut });
      (await hub.projects.get("p")).followers += 1;
      hub.projects.onEntry((_, entry) => frames.push(entry.from_seq));
      for (const seq of [1, 2, 3]) await log.append([nth(seq)]);
      await work({ time, log, reads: () => reads, frames, hub, hear: (entry) => hear(entry) });
      hub.stop();
    },
  );
}

describe("an entry of another hub", () => {
  test("[D18] is judged by epoch and seq alone", () => {
    const head = { epoch: EPOCH, seq: 5, at: "" };
    const cases: [Partial<Entry>, ReturnType<typeof judgeArrival>][] = [
      [{ from_seq: 6, to_seq: 6 }, "next"],
      [{ from_seq: 6, to_seq: 9 }, "next"],
      [{ from_seq: 7, to_seq: 7 }, "ahead"],
      [{ from_seq: 5, to_seq: 5 }, "old"],
      [{ from_seq: 1, to_seq: 5 }, "old"],
      [{ from_seq: 5, to_seq: 6 }, "elsewhere"],
      [{ from_seq: 6, to_seq: 6, epoch: "f".repeat(16) }, "elsewhere"],
      [{ from_seq: 1, to_seq: 1, epoch: "f".repeat(16) }, "elsewhere"],
      [{ from_seq: 9, to_seq: 9, epoch: "f".repeat(16) }, "elsewhere"],
    ];
    for (const [entry, arrival] of cases)
      expect(judgeArrival(head, nth(1, entry)), JSON.stringify(entry)).toBe(arrival);
    const none = { epoch: "", seq: 0, at: "" };
    expect(judgeArrival(none, nth(1))).toBe("next");
    expect(judgeArrival(none, nth(2))).toBe("ahead");
  });

  test("[D18] that continues the head is applied at once, without the log", () =>
    play(async ({ hear, frames, reads }) => {
      for (const seq of [1, 2, 3]) hear(nth(seq));
      expect(frames).toEqual([1, 2, 3]);
      expect(reads()).toBe(0);
    }));

  test("[D18] heard twice counts once", () =>
    play(async ({ hear, frames, time, reads }) => {
      for (const seq of [1, 1, 2, 1, 2, 3, 3]) hear(nth(seq));
      await time.sleep(100);
      expect(frames).toEqual([1, 2, 3]);
      expect(reads()).toBe(0);
    }));

  test("[D18] heard too early waits for the one before it, and is not read from the log when that comes in time", () =>
    play(async ({ hear, frames, time, reads }) => {
      hear(nth(3));
      hear(nth(2));
      await time.sleep(BOUNDS.gapWaitMs - 1);
      expect(frames).toEqual([]);
      hear(nth(1));
      await time.sleep(100);
      expect(frames).toEqual([1, 2, 3]);
      expect(reads()).toBe(0);
    }));

  test("[D18] whose predecessor is lost: the log is read after 20 ms, once", () =>
    play(async ({ hear, frames, time, reads }) => {
      hear(nth(2));
      hear(nth(3));
      await time.sleep(BOUNDS.gapWaitMs - 1);
      expect(frames).toEqual([]);
      await time.sleep(2);
      expect(frames).toEqual([1, 2, 3]);
      await time.sleep(100);
      expect(reads()).toBe(1);
    }));

  test("[D18] that waits is applied when the head gets there by another way", () =>
    play(async ({ hear, frames, time, hub, reads }) => {
      const project = await hub.projects.get("p");
      hear(nth(3));
      for (const seq of [1, 2]) hub.projects.apply(project, nth(seq), 100);
      await time.sleep(0);
      expect(frames).toEqual([1, 2, 3]);
      await time.sleep(100);
      expect(reads()).toBe(0);
    }));

  test("[D18] of another epoch, or across the head, is a reason to read the log and nothing else", () =>
    play(async ({ hear, frames, time, reads }) => {
      hear(nth(1));
      hear(nth(2, { epoch: "f".repeat(16) }));
      hear(nth(1, { to_seq: 2 }));
      expect(frames).toEqual([1]);
      await time.sleep(BOUNDS.gapWaitMs + 1);
      expect(frames).toEqual([1, 2, 3]);
      await time.sleep(100);
      expect(reads()).toBe(1);
    }));

  test("[D18] that the log does not lead to is dropped: the log is right", () =>
    play(async ({ hear, frames, time, hub, log, reads }) => {
      hear(nth(7));
      await time.sleep(100);
      expect(reads()).toBe(1);
      for (const seq of [4, 5, 6]) hear(nth(seq));
      await time.sleep(100);
      expect(frames).toEqual([1, 2, 3, 4, 5, 6]);
      await log.append([nth(7, { epoch: EPOCH })]);
      expect((await hub.projects.get("p")).head.seq).toBe(6);
    }));

  test("[D18] beyond what may be held is read from the log with the rest", () =>
    play(
      async ({ hear, frames, time }) => {
        hear(nth(2));
        hear(nth(3));
        hear(nth(1));
        expect(frames).toEqual([1]);
        await time.sleep(0);
        expect(frames).toEqual([1, 2]);
        await time.sleep(BOUNDS.gapWaitMs + 1);
        expect(frames).toEqual([1, 2, 3]);
      },
      { gapBytes: 150 },
    ));

  test("[D18] of a project that nobody follows here is no reason to read; of one not known here, not looked at", () =>
    play(async ({ hear, frames, time, hub, reads }) => {
      (await hub.projects.get("p")).followers -= 1;
      for (const entry of [nth(3), nth(2), nth(1, { project_id: "q" })]) hear(entry);
      await time.sleep(100);
      expect(frames).toEqual([]);
      expect(reads()).toBe(0);
      expect(hub.projects.known("q")).toBeUndefined();
    }));

  test("[V14] that comes between the answer to the first join and its ack is among the first frames", () =>
    play(async ({ hear, hub, log }) => {
      (await hub.projects.get("p")).followers -= 1;
      const prepared = await prepareJoin("p", undefined, hub.following);
      expect(prepared.answer.seq).toBe(3);
      await log.append([nth(4)]);
      hear(nth(4));
      expect(missedSince(prepared)?.map((entry) => entry.from_seq)).toEqual([4]);
    }));

  test("[D18] that cannot be placed while MongoDB is away is found by the next comparison of heads", () =>
    play(async ({ hear, frames, time, hub, log }) => {
      const { readAfter } = log;
      log.readAfter = async () => {
        throw new Error("away");
      };
      hear(nth(2));
      await time.sleep(100);
      expect(frames).toEqual([]);
      log.readAfter = readAfter;
      hub.headWatch.compareNow();
      await time.sleep(0);
      expect(frames).toEqual([1, 2, 3]);
    }));
});

test("[D18] after its stop a hub applies nothing that comes or waits", () =>
  play(async ({ hear, frames, time, hub, reads }) => {
    hear(nth(2));
    await hub.arrivals.stop();
    hear(nth(1));
    await time.sleep(100);
    expect(frames).toEqual([]);
    expect(reads()).toBe(0);
  }));

describe("the comparison of heads", () => {
  test("[D18] takes place every 5 s while live", () =>
    play(async ({ frames, time }) => {
      await time.sleep(BOUNDS.headPollLiveMs - BOUNDS.headPollMs - 1);
      expect(frames).toEqual([]);
      await time.sleep(BOUNDS.headPollMs + 10);
      expect(frames).toEqual([1, 2, 3]);
    }));

  test("[D18] asked for during a round looks again after it", () =>
    play(async ({ frames, time, hub, log }) => {
      hub.headWatch.compareNow();
      await log.append([nth(4)]);
      hub.headWatch.compareNow();
      await time.sleep(0);
      expect(frames).toEqual([1, 2, 3, 4]);
    }));

  test("[D20] takes place every second while other hubs are not heard", () =>
    play(async ({ frames, time, hub }) => {
      Object.assign(hub.fanOut, { state: { mode: "degraded", reason: "away" } });
      await time.sleep(BOUNDS.headPollMs + 1);
      expect(frames).toEqual([1, 2, 3]);
    }));
});
