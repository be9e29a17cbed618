import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { KeyRates } from "../../server/limits/key-rates.ts";
import { RateLimits } from "../../server/limits/rate-limits.ts";
import { SharedCounts } from "../../server/limits/shared-counts.ts";
import { DEFAULT_LIMITS, type Limits } from "../../shared/limits.ts";
import { eventually } from "../support/eventually.ts";

function setUp(limits: Partial<Limits> = {}, bounds: Partial<Record<keyof typeof BOUNDS, number>> = {}) {
  const state = { now: 1_000 };
  const lines: { readonly fields: Record<string, unknown>; readonly message: string }[] = [];
  const line = (fields: object, message: string) => void lines.push({ fields: { ...fields }, message });
  const options = {
    limits: { ...DEFAULT_LIMITS, ...limits },
    failedKeysPerMinute: 10,
    clock: { now: () => state.now, monotonic: () => state.now },
    random: () => 0.5,
    log: { debug: line, info: line, warn: line, error: line },
    bounds: { ...BOUNDS, ...bounds } as typeof BOUNDS,
  };
  const rates = new RateLimits(options);
  const connection = (keyId = "key-1", id = "c1") => {
    const principal = { keyId, fingerprint: "0a1b2c3d", role: "agent" as const, scope: new ProjectScope(["p"]) };
    const one = rates.connection({ id, peer: { principal } });
    const publish = (count: number) => Array.from({ length: count }, () => one.take("publishes", state.now));
    const join = (count: number) => Array.from({ length: count }, () => one.take("joins", state.now));
    return { publish, join };
  };
  return { state, lines, rates, connection, options };
}

const taken = (answers: readonly unknown[]) => answers.filter((answer) => answer === undefined).length;

describe("[L5] rates of one connection", () => {
  test("twice the rate at once, then the rate; what is beyond is RATE_LIMITED with a time to come back", () => {
    const { state, connection } = setUp({ publishes_per_second: 100 });
    const { publish } = connection();
    expect(taken(publish(250))).toBe(200);
    state.now += 500;
    const answers = publish(60);
    expect(taken(answers)).toBe(50);
    const { refusal } = answers.at(-1) ?? expect.fail();
    expect(refusal).toMatchObject({
      code: "RATE_LIMITED",
      details: { limit: "publishes_per_second", allowed: 100 },
    });
    expect(refusal.retry_after_ms).toBeGreaterThanOrEqual(BOUNDS.ratePauseLeastMs);
  });

  test("those refused together are asked to come back one after the other", () => {
    const { connection } = setUp({ publishes_per_second: 100 });
    const { publish } = connection();
    const pauses = publish(210).flatMap((answer) => answer?.refusal.retry_after_ms ?? []);
    expect(pauses).toEqual([110, 120, 130, 140, 150, 160, 170, 180, 190, 200]);
  });

  test("joins and publishes have rates of their own, connections too", () => {
    const { connection } = setUp({ publishes_per_second: 10, joins_per_second: 5 });
    const first = connection();
    expect(taken(first.publish(30))).toBe(20);
    expect(taken(first.join(30))).toBe(10);
    expect(taken(connection("key-1", "c2").publish(30))).toBe(20);
  });

  test("0 switches each of them off", () => {
    const off = {
      publishes_per_second: 0,
      joins_per_second: 0,
      key_publishes_per_second: 0,
      key_requests_per_second: 0,
    };
    const { connection, rates } = setUp(off);
    const { publish, join } = connection();
    expect(taken([...publish(5_000), ...join(5_000)])).toBe(10_000);
    expect(taken(Array.from({ length: 5_000 }, () => rates.request("key-1")))).toBe(5_000);
  });
});

describe("[L12] a client that goes on and on", () => {
  /** So many publishes each 100 ms, until it is over or the time is. */
  function flood(perTick: number, forMs: number) {
    const all = setUp({ publishes_per_second: 100, key_publishes_per_second: 0 });
    const { publish } = all.connection();
    const begin = all.state.now;
    const warnings: number[] = [];
    for (let at = 0; at < forMs; at += 100) {
      all.state.now = begin + at;
      for (let sent = 0; sent < perTick; sent++) {
        const [answer] = publish(1);
        if (answer?.refusal.message.includes("closed") === true) warnings.push(at);
        if (answer?.isOver === true) return { ...all, overAt: at, warnings };
      }
    }
    return { ...all, overAt: undefined, warnings };
  }

  test("at five times the rate it is warned after half of the time, and closed after ten seconds", () => {
    const { overAt, warnings, lines, rates } = flood(50, 30_000);
    expect(overAt).toBeGreaterThanOrEqual(10_000);
    expect(overAt).toBeLessThan(12_000);
    expect(warnings[0]).toBeGreaterThanOrEqual(5_000);
    expect(warnings[0]).toBeLessThan(7_000);
    expect(lines.map(({ message }) => message)).toEqual([
      "a client sends more than its rate: refused",
      "a client goes on far beyond its rate: it will be closed",
      "closing a connection that went on far beyond its rate",
    ]);
    expect(lines[0]?.fields).toMatchObject({ connection: "c1", fingerprint: "0a1b2c3d", allowed: 100 });
    expect(rates.closed).toBe(1);
  });

  test("however much it sends, it has the whole time to hear of it", () => {
    expect(flood(1_000, 9_900).overAt).toBeUndefined();
  });

  test("at three times the rate it is refused, and kept", () => {
    const { overAt, warnings, rates } = flood(30, 60_000);
    expect(overAt).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(rates.refused.publishes_per_second).toBeGreaterThan(10_000);
  });

  test("a short flood is forgotten", () => {
    const { state, connection } = setUp({ publishes_per_second: 100, key_publishes_per_second: 0 });
    const { publish } = connection();
    publish(4_000);
    state.now += 60_000;
    expect(publish(4_000).some((answer) => answer?.isOver)).toBe(false);
  });
});

describe("[L5] rates of one key", () => {
  test("all connections with one key share them; another key is not touched", () => {
    const { connection, rates } = setUp({ publishes_per_second: 100, key_publishes_per_second: 150 });
    const shared = [...connection("a", "c1").publish(200), ...connection("a", "c2").publish(200)];
    expect(taken(shared)).toBe(300);
    expect(shared.at(-1)?.refusal.details).toEqual({ limit: "key_publishes_per_second", allowed: 150 });
    expect(taken(connection("b", "c3").publish(200))).toBe(200);
    expect(rates.refused).toMatchObject({ key_publishes_per_second: 100, publishes_per_second: 0 });
  });

  test("so many keys are counted at once, and those that rest are forgotten", () => {
    const { rates, state } = setUp({}, { ratedKeys: 3 });
    const use = (keyId: string) => {
      for (let i = 0; i < 2_000; i++) rates.request(keyId);
      return rates.request(keyId);
    };
    for (const keyId of ["a", "b", "c"]) expect(use(keyId)?.code).toBe("RATE_LIMITED");
    rates.request("d");
    expect(rates.request("a"), "the oldest begins anew").toBeUndefined();
    expect(rates.request("c")?.code).toBe("RATE_LIMITED");
    state.now += 10_000;
    rates.keyRequests.untold();
    expect(use("c")?.code, "as if it had never been there").toBe("RATE_LIMITED");
  });
});

describe("[L13] limits over all hubs", () => {
  /** Two hubs that count one key, through a counter that a test can break. */
  function twoHubs() {
    const state = { now: 0 };
    const clock = { monotonic: () => state.now };
    const hub = () => new KeyRates({ perSecond: 1_000, clock, random: () => 0.5, bounds: BOUNDS });
    const [a, b] = [hub(), hub()];
    let total = 0;
    const tell = (one: KeyRates) => {
      for (const use of one.untold()) {
        total += use.count;
        one.told(use, total);
      }
    };
    const use = (one: KeyRates, count: number) => {
      let got = 0;
      for (let i = 0; i < count; i++) if (one.take("key-1", state.now) === undefined) got += 1;
      return got;
    };
    const reset = () => {
      total = 0;
    };
    return { state, a, b, tell, use, reset };
  }

  test("what a key uses at one hub it cannot use at another", () => {
    const { state, a, b, tell, use } = twoHubs();
    let got = 0;
    for (let tick = 0; tick < 40; tick++) {
      got += use(a, 1_000) + use(b, 1_000);
      tell(a);
      tell(b);
      state.now += 500;
    }
    // 20 s, a burst at each hub, and what is not known yet.
    expect(got).toBeGreaterThan(16_000);
    expect(got).toBeLessThan(26_000);
  });

  test("small use is not told, and a count that begins anew charges nobody", () => {
    const { state, a, b, tell, use, reset } = twoHubs();
    use(a, 10);
    expect(a.untold()).toEqual([]);
    use(a, 500);
    use(b, 500);
    tell(a);
    tell(b);
    state.now += 5_000;
    reset();
    use(a, 500);
    tell(a);
    expect(use(a, 3_000), "what its own bucket has left").toBe(1_500);
  });

  test("a Redis that never answers, or fails, is not waited for and refuses nobody", async () => {
    const { rates, lines, options } = setUp({ key_requests_per_second: 1_000 }, { sharedCountsMs: 5 });
    let asked = 0;
    const counter = {
      add: () => {
        asked += 1;
        return asked === 1 ? Promise.reject(new Error("away")) : new Promise<number>(() => {});
      },
    };
    const counts = new SharedCounts({ ...options, counter, shared: { requests: rates.keyRequests } });
    try {
      const spend = async (rounds: number) => {
        for (let i = 0; i < 500; i++) expect(rates.request("key-1")).toBeUndefined();
        await eventually(`round ${rounds}`, () => asked >= rounds);
      };
      await spend(1);
      await spend(2);
      for (let i = 0; i < 500; i++) expect(rates.request("key-1")).toBeUndefined();
      expect(asked, "one round at a time").toBe(2);
      expect(lines.map(({ message }) => message)).toEqual(["limits are counted by each hub alone for now"]);
    } finally {
      counts.stop();
    }
  });
});

describe("[K13] failed keys of one address", () => {
  test("after ten in a minute nothing from there is listened to, for the rest of it", () => {
    const { state, rates, lines } = setUp();
    for (let i = 0; i < 10; i++) {
      expect(rates.address("10.0.0.1")).toBeUndefined();
      rates.failedKeys.onFailure("10.0.0.1");
      state.now += 1_000;
    }
    expect(rates.address("10.0.0.1")).toMatchObject({ code: "RATE_LIMITED", retry_after_ms: 50_000 });
    expect(rates.address("10.0.0.2")).toBeUndefined();
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toEqual({ ip: "10.0.0.1", failed: 10 });
    state.now += 50_000;
    expect(rates.address("10.0.0.1")).toBeUndefined();
    rates.failedKeys.onFailure("10.0.0.1");
    expect(rates.address("10.0.0.1"), "its minute began anew").toBeUndefined();
  });

  test("so many addresses are kept; the one that failed first is forgotten", () => {
    const { rates } = setUp({}, { failingAddresses: 2 });
    for (const address of ["a", "b", "c"]) for (let i = 0; i < 10; i++) rates.failedKeys.onFailure(address);
    expect(rates.address("a")).toBeUndefined();
    expect(rates.address("b")?.code).toBe("RATE_LIMITED");
    expect(rates.address("c")?.code).toBe("RATE_LIMITED");
  });

  test("[L13] failures at other hubs count", () => {
    const { rates } = setUp();
    rates.failedKeys.onFailure("a");
    expect(rates.failedKeys.untold()).toEqual([{ name: "a", count: 1 }]);
    expect(rates.failedKeys.untold()).toEqual([]);
    rates.failedKeys.told({ name: "a", count: 1 }, 12);
    expect(rates.address("a")?.code).toBe("RATE_LIMITED");
  });
});
