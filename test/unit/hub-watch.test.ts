import { describe, expect, test } from "vitest";
import { HubWatch, type Seen } from "../../server/liveness/hub-watch.ts";

const GRACE = 30_000;
const NOTHING: Seen = { silent: [], gone: [], back: [] };

interface LookOptions {
  readonly isPrompt?: boolean;
  /** Milliseconds that the look takes. */
  readonly takes?: number;
  readonly readTo?: string;
  readonly unknown?: readonly string[];
}

/** Looks of hub `me` at rows that a test moves, on its active time. */
class Observer {
  readonly watch: HubWatch;
  readonly rows = new Map<string, number>();
  now = 0;

  constructor(startGraceMs = 0) {
    this.watch = new HubWatch({ hubId: "me", graceMs: GRACE, startGraceMs, bounds: { hubDeathMs: 3_000 } });
  }

  look({ isPrompt = true, takes = 0, readTo, unknown = [] }: LookOptions = {}): Seen {
    const begunAt = this.now;
    this.now += takes;
    return this.watch.onLook({ begunAt, endedAt: this.now, isPrompt, beats: new Map(this.rows), readTo, unknown });
  }

  /** Looks every half second for so long, while the hubs named raise their rows; what was seen meanwhile. */
  pass(ms: number, raising: readonly string[] = [], options: LookOptions = {}): Seen {
    const seen = { silent: [] as string[], gone: [] as string[], back: [] as string[] };
    for (const until = this.now + ms; this.now < until; ) {
      this.now += 500;
      for (const hubId of raising) this.raise(hubId);
      const { silent, gone, back } = this.look(options);
      seen.silent.push(...silent);
      seen.gone.push(...gone);
      seen.back.push(...back);
    }
    return seen;
  }

  raise(hubId: string): void {
    this.rows.set(hubId, (this.rows.get(hubId) ?? 0) + 1);
  }

  get due(): string[] {
    return this.watch.due.map(({ hubId }) => hubId);
  }
}

/** An observer that has just seen hub `x` at some number. */
function watching(startGraceMs?: number): Observer {
  const observer = new Observer(startGraceMs);
  observer.rows.set("x", 7);
  observer.look();
  return observer;
}

describe("death", () => {
  test("[Y1] a row that stands still for 3 s of looks is a dead hub's; sooner it is not", () => {
    const observer = watching();
    expect(observer.pass(2_500)).toEqual(NOTHING);
    expect(observer.watch.nextChangeMs).toBe(500);
    observer.now += 499;
    expect(observer.look()).toEqual(NOTHING);
    expect(observer.watch.isOut("x")).toBe(false);
    observer.now += 1;
    expect(observer.look()).toEqual({ ...NOTHING, silent: ["x"] });
    expect(observer.watch.isOut("x")).toBe(true);
    expect(observer.pass(10_000)).toEqual(NOTHING);
  });

  test("[Y1] a row that rises is alive, however long; another number is a sign of life also when it is smaller", () => {
    const observer = watching();
    expect(observer.pass(60_000, ["x"])).toEqual(NOTHING);
    observer.pass(2_500);
    observer.rows.set("x", 1);
    observer.look();
    expect(observer.pass(2_500)).toEqual(NOTHING);
    expect(observer.watch.living).toEqual(["me", "x"]);
  });

  test("[Y1] between two looks nothing is known: the time a look takes never counts against the hub", () => {
    const observer = new Observer();
    observer.rows.set("x", 7);
    // Its number may have been read at the very end of the look.
    observer.look({ takes: 400 });
    observer.now += 2_999;
    // And at the very beginning of this one.
    expect(observer.look({ takes: 400 })).toEqual(NOTHING);
    expect(observer.look()).toEqual({ ...NOTHING, silent: ["x"] });
  });

  test("[Y2] time without looks does not count, nor does a slow look; what a slow look shows does", () => {
    const observer = watching();
    observer.pass(2_500);
    observer.now += 60_000;
    expect(observer.look({ isPrompt: false })).toEqual(NOTHING);
    expect(observer.pass(60_000, [], { isPrompt: false })).toEqual(NOTHING);
    // Nor the time since the last slow one.
    observer.now += 10_000;
    expect(observer.look()).toEqual(NOTHING);
    observer.raise("x");
    observer.look({ isPrompt: false });
    expect(observer.pass(2_500)).toEqual(NOTHING);
    expect(observer.pass(1_000)).toEqual({ ...NOTHING, silent: ["x"] });
  });

  test("[Y2] while MongoDB is away nobody dies, and after it each hub has its full time again", () => {
    const observer = watching();
    observer.rows.set("dead", 3);
    observer.look();
    observer.pass(3_000 + GRACE - 500, ["x"]);
    expect(observer.watch.isOut("dead")).toBe(true);
    for (let count = 0; count < 100; count++) {
      observer.now += 1_000;
      observer.watch.onFailure();
    }
    expect(observer.watch.isOut("dead")).toBe(false);
    observer.now += 1_000;
    expect(observer.look()).toEqual(NOTHING);
    expect(observer.pass(2_500)).toEqual(NOTHING);
    observer.raise("x");
    expect(observer.pass(500)).toEqual({ ...NOTHING, silent: ["dead"] });
    observer.pass(GRACE - 500, ["x"]);
    expect(observer.due).toEqual([]);
    observer.pass(500, ["x"]);
    expect(observer.due).toEqual(["dead"]);
  });

  test("[Y2] the observer's own row is never judged", () => {
    const observer = watching();
    observer.rows.set("me", 1);
    expect(observer.pass(10_000, ["x"])).toEqual(NOTHING);
    observer.rows.delete("me");
    expect(observer.pass(10_000, ["x"], { unknown: ["me"] })).toEqual(NOTHING);
    expect(observer.watch.living).toEqual(["me", "x"]);
  });
});

describe("gone", () => {
  test("[Y3] a hub whose row is removed is gone at once; it gets the grace", () => {
    const observer = watching();
    observer.rows.delete("x");
    expect(observer.look()).toEqual({ ...NOTHING, gone: ["x"] });
    observer.pass(GRACE - 500);
    expect(observer.due).toEqual([]);
    observer.pass(500);
    expect(observer.watch.due).toEqual([{ hubId: "x", beat: undefined, isOverdue: false }]);
  });

  test("[Y3] a hub that has sessions and no row is gone from when that is seen", () => {
    const observer = watching();
    observer.pass(GRACE, ["x"]);
    expect(observer.look({ unknown: ["old"] })).toEqual({ ...NOTHING, gone: ["old"] });
    expect(observer.look({ unknown: ["old"] })).toEqual(NOTHING);
    expect(observer.watch.known.toSorted()).toEqual(["me", "old", "x"]);
    observer.pass(GRACE - 500, ["x"]);
    expect(observer.due).toEqual([]);
    observer.pass(500, ["x"]);
    expect(observer.due).toEqual(["old"]);
  });

  test("a hub that has just begun has a row by the time it has sessions", () => {
    const observer = watching();
    observer.rows.set("new", 1);
    expect(observer.look({ unknown: ["new"] })).toEqual(NOTHING);
    expect(observer.watch.living).toEqual(["me", "new", "x"]);
  });

  test("of rows beyond those that were read nothing is known", () => {
    const observer = watching();
    observer.rows.delete("x");
    expect(observer.look({ readTo: "w", unknown: ["z"] })).toEqual(NOTHING);
    expect(observer.look({ readTo: "x", unknown: ["z"] })).toEqual({ ...NOTHING, gone: ["x"] });
  });
});

describe("grace", () => {
  test("[Y4] a dead hub's sessions are due after the grace; the row still has to stand still then", () => {
    const observer = watching();
    observer.pass(3_000);
    observer.pass(GRACE - 500);
    expect(observer.due).toEqual([]);
    observer.now += 500;
    observer.raise("x");
    expect(observer.look()).toEqual({ ...NOTHING, back: ["x"] });
    expect(observer.due).toEqual([]);
    expect(observer.watch.isOut("x")).toBe(false);
    expect(observer.pass(3_000)).toEqual({ ...NOTHING, silent: ["x"] });
    observer.pass(GRACE - 500);
    expect(observer.due).toEqual([]);
    observer.pass(500);
    expect(observer.watch.due).toEqual([{ hubId: "x", beat: 8, isOverdue: false }]);
  });

  test("[Y4] a hub that was taken for gone and makes its row anew is alive, also with the number it had", () => {
    const observer = watching();
    observer.pass(3_000);
    observer.rows.delete("x");
    expect(observer.look()).toEqual(NOTHING);
    observer.rows.set("x", 7);
    expect(observer.look()).toEqual({ ...NOTHING, back: ["x"] });
    expect(observer.pass(2_500)).toEqual(NOTHING);
  });

  test("[Y4] neither slow looks nor stalls of the observer shorten the grace", () => {
    const observer = watching();
    observer.pass(3_000);
    observer.pass(10 * GRACE, [], { isPrompt: false });
    observer.look();
    observer.pass(GRACE - 500);
    expect(observer.due).toEqual([]);
    observer.pass(500);
    expect(observer.due).toEqual(["x"]);
  });

  test("[Y5] after its own start a hub lets nobody's sessions fall due before agents could come back", () => {
    const observer = watching(15_000 + GRACE);
    observer.look({ unknown: ["old"] });
    observer.pass(15_000 + GRACE - 500);
    expect(observer.watch.isOut("old")).toBe(true);
    expect(observer.due).toEqual([]);
    observer.pass(500);
    expect(observer.due.toSorted()).toEqual(["old", "x"]);
  });

  test("sessions that nobody has judged for another grace are everybody's", () => {
    const observer = watching();
    observer.pass(3_000 + 2 * GRACE - 500);
    expect(observer.watch.due[0]?.isOverdue).toBe(false);
    observer.pass(500);
    expect(observer.watch.due[0]?.isOverdue).toBe(true);
  });

  test("a hub of which nothing is left is forgotten; one that lives is not", () => {
    const observer = watching();
    observer.rows.set("y", 1);
    observer.look();
    observer.pass(3_000 + GRACE, ["y"]);
    observer.rows.delete("x");
    observer.watch.forget("x");
    observer.watch.forget("y");
    expect(observer.watch.known.toSorted()).toEqual(["me", "y"]);
    expect(observer.pass(1_000, ["y"])).toEqual(NOTHING);
    expect(observer.look({ unknown: ["x"] })).toEqual({ ...NOTHING, gone: ["x"] });
    expect(observer.due).toEqual([]);
  });

  test("the next change is when a row has stood long enough, or a grace ends", () => {
    const observer = new Observer();
    observer.look();
    expect(observer.watch.nextChangeMs).toBe(Number.POSITIVE_INFINITY);
    observer.raise("x");
    observer.look();
    observer.now += 1_200;
    observer.look();
    expect(observer.watch.nextChangeMs).toBe(1_800);
    observer.now += 1_800;
    observer.look();
    expect(observer.watch.nextChangeMs).toBe(GRACE);
    observer.pass(GRACE);
    expect(observer.watch.nextChangeMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("what is known of a hub", () => {
  test("[R79] unknown until its number was seen to rise; then alive, dead, alive again, gone", () => {
    const observer = watching();
    const state = () => observer.watch.stateOf("x");
    expect(state()).toBe("unknown");
    expect(observer.watch.stateOf("nobody")).toBe("unknown");
    observer.pass(1_000, ["x"]);
    expect(state()).toBe("alive");
    observer.pass(2_000);
    expect(state()).toBe("alive");
    observer.pass(2_000);
    expect(state()).toBe("dead");
    observer.pass(500, ["x"]);
    expect(state()).toBe("alive");
    observer.rows.delete("x");
    observer.pass(500);
    expect(state()).toBe("gone");
    observer.watch.onFailure();
    expect(state()).toBe("unknown");
  });

  test("[R79] a row that stands still from the first look on is dead without ever having been alive", () => {
    const observer = watching();
    observer.pass(2_500);
    expect(observer.watch.stateOf("x")).toBe("unknown");
    observer.pass(1_000);
    expect(observer.watch.stateOf("x")).toBe("dead");
  });
});
