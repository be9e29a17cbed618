import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { AppendPace } from "../../server/writer/append-pace.ts";

const { appendWindowMs, appendWindowPublishes, appendsInFlight, slowAppendMs } = BOUNDS;

describe("AppendPace", () => {
  let onFree: ReturnType<typeof vi.fn<() => void>>;
  let pace: AppendPace;

  beforeEach(() => {
    vi.useFakeTimers();
    onFree = vi.fn<() => void>();
    const clock = { now: () => Date.now(), monotonic: () => performance.now() };
    pace = new AppendPace({ clock, bounds: BOUNDS, onFree });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("one append at a time while they are prompt", async () => {
    const first = Promise.withResolvers<string>();
    const followed = pace.follow(1, first.promise);
    expect(pace.isFree).toBe(false);
    first.resolve("committed");
    expect(await followed).toBe("committed");
    expect(pace.isFree).toBe(true);
    expect(onFree).not.toHaveBeenCalled();
  });

  test("a rejected append frees its place and says so to its caller", async () => {
    await expect(pace.follow(1, Promise.reject(new Error("away")))).rejects.toThrow("away");
    expect(pace.isFree).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("beside slow ones others may start, up to the bound", async () => {
    const answers = Array.from({ length: appendsInFlight }, () => Promise.withResolvers<void>());
    const followed = answers.map(({ promise }, index) => {
      expect(pace.isFree).toBe(true);
      const one = pace.follow(1, promise);
      vi.advanceTimersByTime(slowAppendMs - 1);
      expect([index, pace.isFree]).toEqual([index, false]);
      vi.advanceTimersByTime(1);
      expect(onFree).toHaveBeenCalledTimes(index + 1);
      return one;
    });
    expect(pace.isFree).toBe(false);
    answers[0]?.resolve();
    await followed[0];
    expect(pace.isFree).toBe(true);
    for (const { resolve } of answers) resolve();
    await Promise.all(followed);
  });

  test("few publishes wait for nothing, many for the window since the last start", async () => {
    expect(pace.waitMs).toBe(0);
    await pace.follow(appendWindowPublishes - 1, Promise.resolve());
    expect(pace.waitMs).toBe(0);
    await pace.follow(appendWindowPublishes, Promise.resolve());
    expect(pace.waitMs).toBe(appendWindowMs);
    vi.advanceTimersByTime(appendWindowMs - 2);
    expect(pace.waitMs).toBe(2);
    vi.advanceTimersByTime(5);
    expect(pace.waitMs).toBe(0);
  });
});
