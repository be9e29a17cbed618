import { describe, expect, test } from "vitest";
import { isOperator, isWriter, mayRead, mayWrite, type Principal, type Role } from "../../server/domain/access.ts";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { isProjectPattern } from "../../shared/project-pattern.ts";

describe("patterns", () => {
  test.each(["*", "web", "acme-*", "acme.*", "a_*", "a:*", "a@*", "9-*", "x".repeat(128)])(
    "[K14] %j is one",
    (text) => {
      expect(isProjectPattern(text)).toBe(true);
    },
  );

  test.each(["", "**", "acme*", "-*", "*-web", "a-*b", "a*-", "a b", "a/b", ".*", "x".repeat(129), "$ne", "(a+)+$"])(
    "[K14] %j is none",
    (text) => {
      expect(isProjectPattern(text)).toBe(false);
    },
  );

  test.each([
    [["*"], ["a", "acme-1"], []],
    [["web"], ["web"], ["Web", "web2", "we", "webx", "web-1"]],
    [["acme-*"], ["acme-1", "acme-", "acme-a.b"], ["acme", "acmeco", "acme.1", "xacme-1"]],
    [["web", "acme-*", "web"], ["web", "acme-1"], ["acme"]],
    [[], [], ["a", "*"]],
  ])("[K14] %j reaches %j and not %j", (patterns, inside, outside) => {
    const scope = new ProjectScope(patterns);
    for (const id of inside) expect(scope.has(id), id).toBe(true);
    for (const id of outside) expect(scope.has(id), id).toBe(false);
  });

  test("[K19] scopes are equal by what they name, in any order", () => {
    expect(new ProjectScope(["b", "a", "b"]).equals(new ProjectScope(["a", "b"]))).toBe(true);
    expect(new ProjectScope(["a"]).equals(new ProjectScope(["a", "a-*"]))).toBe(false);
  });
});

test.each([
  ["viewer", true, false, false],
  ["agent", true, true, false],
  ["operator", true, true, true],
] as const)("[K7] %s", (role: Role, reads, writes, operates) => {
  const principal: Principal = { role, scope: new ProjectScope(["p"]), keyId: "k", fingerprint: "f" };
  expect([mayRead(principal, "p"), mayWrite(principal, "p"), isOperator(principal)]).toEqual([reads, writes, operates]);
  expect([mayRead(principal, "q"), mayWrite(principal, "q")]).toEqual([false, false]);
  expect(isWriter(principal)).toBe(writes);
});
