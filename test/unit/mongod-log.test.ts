import { expect, test } from "vitest";
import { explain } from "../../server/embedded/mongod-log.ts";

const line = (s: string, msg: string, attr?: object) => JSON.stringify({ t: {}, s, c: "STORAGE", ctx: "x", msg, attr });

test("a full disk is named first, then mongod's own words", () => {
  const log = [
    line("I", "Opening WiredTiger"),
    line("E", "WiredTiger error", { error: 28, message: { msg: "No space left on device" } }),
    line("F", "Fatal assertion", { msgid: 28559 }),
  ].join("\n");
  expect(explain(log)).toMatch(/^the disk is full: WiredTiger error .*; Fatal assertion$/);
});

test("a missing library, which the dynamic linker reports in plain text, is named", () => {
  const log = "mongod: error while loading shared libraries: libcrypto.so.1.1: cannot open shared object file\n";
  expect(explain(log)).toBe(`a system library is missing: ${log.trim()}`);
});

test("only the last three different errors are told, in one line", () => {
  const log = ["one", "two", "two", "three", "four"].map((msg) => line("E", msg)).join("\n");
  expect(explain(log)).toBe("two; three; four");
});

test("a log without errors says so", () => {
  expect(explain(line("I", "Shutting down"))).toBe("it logged no error");
});
