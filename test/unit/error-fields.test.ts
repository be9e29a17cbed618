import { describe, expect, test } from "vitest";
import { errorFields, errorText } from "../../server/observability/error-fields.ts";
import { createLogger } from "../../server/observability/logger.ts";

const CANARY = "canary-4711";

/** As the MongoDB driver throws them: the whole command hangs on it. */
function driverError(): Error {
  const message = `E11000 duplicate key error collection: db.log dup key: { _id: "${CANARY}" }\n    at ${CANARY}`;
  const operation = { metadata: { text: CANARY } };
  const cause = Object.assign(new Error(`write failed: {"${CANARY}": 1}`), { operation });
  return Object.assign(new Error(message, { cause }), {
    code: 11000,
    operation,
    writeErrors: [{ err: { op: operation } }],
  });
}

function parseError(): unknown {
  try {
    return JSON.parse(`{"text": ${CANARY}, "more": "${CANARY}"}`);
  } catch (error) {
    return error;
  }
}

describe("[K27] of an error", () => {
  test.each([
    ["that carries a command", driverError()],
    ["of a JSON that could not be parsed", parseError()],
    ["that is a text", CANARY],
    ["that is an object", { text: CANARY }],
    ["that quotes without end", new TypeError(`unexpected "${CANARY}\n${CANARY}`)],
  ])("%s nothing of the content is told", (_what, error) => {
    const text = JSON.stringify(errorFields(error)) + errorText(error);
    expect(text).not.toContain(CANARY);
  });

  test("its kind, code, words, places and cause are told", () => {
    expect(errorFields(driverError())).toEqual({
      type: "Error",
      message: "E11000 duplicate key error collection: db.log dup key: …",
      code: 11000,
      stack: expect.stringMatching(/^ {4}at .*error-fields\.test\.ts:\d+:\d+/),
      cause: { type: "Error", message: "write failed: …", stack: expect.any(String) },
    });
    expect(errorText(new RangeError("too much"))).toMatch(/^RangeError: too much\n {4}at /);
    expect(errorFields(undefined)).toEqual({ type: "undefined", message: "" });
  });

  test("a message has a bound, and causes that go round in a circle too", () => {
    const error: Error = new Error("x".repeat(10_000));
    error.cause = error;
    expect(JSON.stringify(errorFields(error)).length).toBeLessThan(20_000);
  });

  test("the log has no more than that", () => {
    const lines: string[] = [];
    const log = createLogger("debug", { isTerminal: false, destination: { write: (line) => void lines.push(line) } });
    log.error({ err: driverError(), key: CANARY, peer: { token: CANARY, headers: { a: CANARY } } }, "failed");
    expect(lines.join("")).not.toContain(CANARY);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "error", msg: "failed", err: { code: 11000 } });
  });
});
