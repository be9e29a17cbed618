import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseQuery } from "../../server/http/query.ts";
import { chooseRequestId } from "../../server/http/request-id.ts";
import { PageParameters, Time } from "../../shared/rest/query.ts";
import { parseInput } from "../../shared/validate.ts";

describe("query parameters", () => {
  test("[R5] each once and plain", () => {
    expect(parseQuery("/sessions?status=ACTIVE&environment=a%20b")).toEqual({
      ok: true,
      value: { status: "ACTIVE", environment: "a b" },
    });
    expect(parseQuery("/sessions")).toEqual({ ok: true, value: {} });
  });

  test.each([
    ["?status=ACTIVE&status=IDLE", "field status must be given once"],
    ["?a=1&a=2", "field a must be given once"],
    ["?status[$ne]=ACTIVE", "field status[$ne] must be a plain parameter, without brackets"],
    ["?status%5B%5D=ACTIVE", "field status[] must be a plain parameter, without brackets"],
  ])("[R5] %s is refused", (search, message) => {
    expect(parseQuery(`/sessions${search}`)).toMatchObject({ ok: false, refusal: { code: "VALIDATION", message } });
  });

  test("[R5] a parameter named like a prototype is refused by the gate, not merged", () => {
    const parsed = parseQuery("/sessions?__proto__=x");
    expect(parsed.ok && parseInput(z.object({}), parsed.value)).toMatchObject({ ok: false });
  });

  test.each(["0", "501", "-1", "1.5", "1e2", "abc", ""])("[R10] limit=%s is refused", (limit) => {
    expect(parseInput(z.object(PageParameters), { limit })).toMatchObject({
      ok: false,
      refusal: { code: "VALIDATION", details: { errors: [{ field: "limit" }] } },
    });
  });

  test("[R10] [L3] limit runs from 1 to 500 and defaults to 50", () => {
    const limitOf = (query: object) => {
      const parsed = parseInput(z.object(PageParameters), query);
      return parsed.ok ? parsed.value.limit : undefined;
    };
    expect([limitOf({}), limitOf({ limit: "1" }), limitOf({ limit: "500" })]).toEqual([50, 1, 500]);
  });

  test("times may carry an offset and become UTC", () => {
    expect(Time.parse("2026-11-22T08:00:00+02:00")).toBe("2026-11-22T06:00:00.000Z");
    expect(Time.safeParse("yesterday").success).toBe(false);
  });
});

describe("request ids", () => {
  test("[R3] a well-formed id is taken over", () => {
    expect(chooseRequestId("trace-1:span@2")).toBe("trace-1:span@2");
    expect(chooseRequestId("x".repeat(128))).toBe("x".repeat(128));
  });

  test.each([undefined, "", "x".repeat(129), "a b", "a\u001b[31m", "-a", "a\r\nb"])("[R3] %j is replaced", (given) => {
    expect(chooseRequestId(given)).toMatch(/^[0-9a-f-]{36}$/);
  });
});
