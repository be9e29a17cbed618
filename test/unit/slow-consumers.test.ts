import { afterEach, describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { Outbox } from "../../server/realtime/outbox.ts";
import { RequestGate } from "../../server/realtime/request-gate.ts";
import { judgeQueue, SlowConsumers } from "../../server/realtime/slow-consumers.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import { VirtualTime } from "../support/virtual-time.ts";

function queueOf(bytes: number, isBlocked = bytes > 0): Outbox {
  return { bytes, isBlocked, isDrained: bytes === 0 };
}

describe("what a queue says of its reader", () => {
  const bounds = { budget: 100, burst: 400, most: 800 };
  test.each([
    [0, false, "fine"],
    [100, true, "fine"],
    [101, true, "slow"],
    [101, false, "fine"],
    [400, false, "fine"],
    [401, false, "slow"],
    [800, true, "slow"],
    [801, false, "hopeless"],
    [801, true, "hopeless"],
  ] as const)("[F15] [L11] %i bytes, blocked %s: %s", (bytes, isBlocked, verdict) => {
    expect(judgeQueue(queueOf(bytes, isBlocked), bounds)).toBe(verdict);
  });
});

describe("a slow consumer", () => {
  class Fake {
    outbox = queueOf(0);
    readonly heard: string[] = [];
    onDrained = () => void this.heard.push("drained");
    sparePing = () => void this.heard.push("spared");
    cut = () => void this.heard.push("cut");
  }

  const bounds = {
    ...BOUNDS,
    slowPassMs: 100,
    slowConsumerMs: 1_000,
    queueBytesAtMost: 800,
  } as unknown as typeof BOUNDS;

  function play(work: (slow: SlowConsumers, one: Fake, time: VirtualTime) => Promise<void>): Promise<void> {
    const time = new VirtualTime();
    const run = async () => {
      const slow = new SlowConsumers({ clock: time, bounds, queueBytes: 100 });
      await work(slow, new Fake(), time);
      slow.stop();
    };
    return time.run(() => 0.5, 60_000, run);
  }

  test("[F15] hears when it has read everything, and its pings wait so long", () =>
    play(async (slow, one, time) => {
      one.outbox = queueOf(101);
      expect(slow.isSlow(one)).toBe(true);
      await time.sleep(250);
      one.outbox = queueOf(1);
      await time.sleep(100);
      expect(one.heard).toEqual(["spared", "spared", "spared"]);
      one.outbox = queueOf(0);
      await time.sleep(2_000);
      expect(one.heard.slice(3)).toEqual(["drained"]);
    }));

  test("[F23] is cut, once, when that takes too long", () =>
    play(async (slow, one, time) => {
      one.outbox = queueOf(101);
      slow.isSlow(one);
      await time.sleep(900);
      expect(one.heard).not.toContain("cut");
      slow.isSlow(one);
      await time.sleep(1_500);
      expect(one.heard.filter((word) => word !== "spared")).toEqual(["cut"]);
    }));

  test("[L11] is cut at once when more waits than may ever wait", () =>
    play(async (slow, one, time) => {
      one.outbox = queueOf(801);
      expect(slow.isSlow(one)).toBe(true);
      expect(one.heard).toEqual(["cut"]);
      await time.sleep(2_000);
      expect(one.heard).toEqual(["cut"]);
    }));

  test("is forgotten when its connection is gone", () =>
    play(async (slow, one, time) => {
      one.outbox = queueOf(101);
      slow.isSlow(one);
      slow.forget(one);
      await time.sleep(2_000);
      expect(one.heard).toEqual([]);
    }));
});

test("[L11] a viewer that asks for all it may and reads it is never cut: the largest answers fit together", () => {
  // A replay, or a page, and then the entries that were applied while it was made.
  const answer = Math.max(DEFAULT_LIMITS.replay_bytes, BOUNDS.snapshotPageBytes) + BOUNDS.recentBytes;
  const beside = DEFAULT_LIMITS.queue_bytes + BOUNDS.conflatedBytes;
  expect(BOUNDS.viewerRequestsAtOnce * answer + beside).toBeLessThan(BOUNDS.queueBytesAtMost);
});

describe("the gate of a viewer's requests", () => {
  const answers: (() => void)[] = [];
  afterEach(() => {
    answers.length = 0;
  });

  function gateOf(isHeldUp = () => false) {
    const begun: number[] = [];
    const refused: number[] = [];
    const gate = new RequestGate<number>({
      atOnce: 2,
      waiting: 3,
      isHeldUp,
      handle: (request) => {
        begun.push(request);
        return request < 0 ? undefined : new Promise((resolve) => answers.push(resolve));
      },
      onFull: (request) => refused.push(request),
    });
    return { gate, begun, refused };
  }

  test("[L11] handles so many at once, keeps so many, in order, and refuses the rest", async () => {
    const { gate, begun, refused } = gateOf();
    for (const request of [1, 2, 3, 4, 5, 6, 7]) gate.take(request);
    expect([begun, refused]).toEqual([
      [1, 2],
      [6, 7],
    ]);
    answers[0]?.();
    await Promise.resolve().then(() => {});
    expect(begun).toEqual([1, 2, 3]);
    answers[1]?.();
    answers[2]?.();
    await Promise.resolve().then(() => {});
    expect(begun).toEqual([1, 2, 3, 4, 5]);
  });

  test("[L11] handles none while the answers are not read, and none that came before others", async () => {
    let isFull = true;
    const { gate, begun } = gateOf(() => isFull);
    gate.take(-1);
    gate.release();
    expect(begun).toEqual([]);
    isFull = false;
    gate.take(-2);
    expect(begun).toEqual([]);
    gate.release();
    expect(begun).toEqual([-1, -2]);
    isFull = true;
    gate.take(-3);
    gate.clear();
    isFull = false;
    gate.release();
    expect(begun).toEqual([-1, -2]);
  });
});
