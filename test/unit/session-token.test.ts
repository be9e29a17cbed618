import { expect, test } from "vitest";
import { SessionTokens } from "../../server/domain/session-token.ts";

const tokens = new SessionTokens("secret");
const token = tokens.issue("p", "s", 1);

test("[O6] [O10] a token opens its own project, session and incarnation, on every hub with the secret", () => {
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(new SessionTokens("secret").isValid(token, "p", "s", 1)).toBe(true);
  expect(new SessionTokens("other").isValid(token, "p", "s", 1)).toBe(false);
  expect(tokens.isValid(token, "q", "s", 1)).toBe(false);
  expect(tokens.isValid(token, "p", "t", 1)).toBe(false);
  expect(tokens.isValid(token, "p", "s", 2)).toBe(false);
  expect(tokens.isValid(token, "p", "s", 11)).toBe(false);
});

test("[O10] anything else gives no right and breaks nothing", () => {
  for (const wrong of ["", "x", `${token}x`, token.slice(1), token.toUpperCase(), "é".repeat(43), "x".repeat(43)]) {
    expect(tokens.isValid(wrong, "p", "s", 1)).toBe(false);
  }
});
