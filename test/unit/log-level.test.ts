import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LogLevel } from "../../server/observability/log-level.ts";

const MINUTE = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function levelOf(level: string) {
  const lines: object[] = [];
  const line = (fields: object) => void lines.push(fields);
  const log = { level, debug: line, info: line, warn: line, error: line };
  return { log, lines, logLevel: new LogLevel({ log, clock: { now: () => Date.now() } }) };
}

test("[R84] a level for some minutes goes back to the lasting one, not to another such", () => {
  const { log, logLevel, lines } = levelOf("info");
  const until = new Date(Date.now() + 10 * MINUTE).toISOString();
  expect(logLevel.set("debug", 10)).toEqual({ before: "info", level: "debug", until, afterwards: "info" });
  vi.advanceTimersByTime(5 * MINUTE);
  expect(logLevel.set("trace", 10)).toMatchObject({ before: "debug", afterwards: "info" });
  vi.advanceTimersByTime(10 * MINUTE - 1);
  expect(log.level).toBe("trace");
  vi.advanceTimersByTime(1);
  expect(log.level).toBe("info");
  expect(lines.at(-1)).toEqual({ from: "trace", to: "info" });
});

test("[R84] without minutes it lasts, and ends one that would go back", () => {
  const { log, logLevel } = levelOf("info");
  logLevel.set("debug", 10);
  expect(logLevel.set("warn", undefined)).toEqual({ before: "debug", level: "warn" });
  vi.advanceTimersByTime(60 * MINUTE);
  expect(log.level).toBe("warn");
  expect(logLevel.set("debug", 1)).toMatchObject({ afterwards: "warn" });
  logLevel.stop();
  expect(vi.getTimerCount()).toBe(0);
});
