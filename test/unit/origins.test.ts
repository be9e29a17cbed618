import { describe, expect, test } from "vitest";
import { isLoopback, Origins } from "../../server/domain/origins.ts";

const PAGE = "https://app.example";

describe("[K12] with keys", () => {
  const origins = new Origins([PAGE], false);

  test("programs, the hub's own pages and listed ones are served, others not", () => {
    expect(origins.admits(undefined, "hub.example")).toBe(true);
    expect(origins.admits("https://hub.example", "hub.example")).toBe(true);
    expect(origins.admits("http://hub.example:3000", "hub.example:3000")).toBe(true);
    expect(origins.admits(PAGE, "hub.example")).toBe(true);
    for (const origin of ["https://evil.example", "null", "", "nonsense", "https://hub.example:1", `${PAGE}.evil`]) {
      expect(origins.admits(origin, "hub.example"), origin).toBe(false);
    }
    expect(origins.admits("https://hub.example", undefined)).toBe(false);
  });

  test("only listed ones may read answers; `*` lists all", () => {
    expect(origins.names(PAGE)).toBe(true);
    expect(origins.names("https://hub.example")).toBe(false);
    expect(origins.names(undefined)).toBe(false);
    expect(new Origins(["*"], false).names("https://any.example")).toBe(true);
    expect(new Origins(["*"], false).names(undefined)).toBe(false);
  });
});

describe("[K26] without keys", () => {
  const origins = new Origins(["*"], true);

  test.each(["localhost", "localhost:3000", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000", "[::1]"])(
    "%s is here",
    (host) => {
      expect(origins.admits(undefined, host)).toBe(true);
      expect(origins.admits(`http://${host}`, host)).toBe(true);
    },
  );

  test.each([
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:1",
    "10.0.0.1",
    "[::2]:1",
    "",
    undefined,
  ])("%s is not, whatever is listed", (host) => {
    expect(origins.admits(undefined, host)).toBe(false);
    expect(origins.admits(PAGE, host)).toBe(false);
  });

  test("addresses of this machine", () => {
    expect(["localhost", "::1", "127.0.0.1"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "127.1", "1127.0.0.1"].some(isLoopback)).toBe(false);
  });
});
