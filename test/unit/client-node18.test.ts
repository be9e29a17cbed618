import { afterEach, beforeEach, expect, test, vi } from "vitest";

const { isWellFormed } = String.prototype;

beforeEach(() => {
  vi.resetModules();
  Reflect.deleteProperty(String.prototype, "isWellFormed");
});

afterEach(() => {
  Object.defineProperty(String.prototype, "isWellFormed", { value: isWellFormed, configurable: true, writable: true });
});

test("[G11] the client checks Unicode where strings cannot do it themselves (Node 18)", async () => {
  const { inspectJson } = await import("../../shared/json.ts");
  const bounds = { depth: 8, keysPerObject: 64 };
  expect(inspectJson({ text: "naïve ✓ 𝄞" }, bounds)).toHaveProperty("bytes");
  expect(inspectJson({ text: "\ud800" }, bounds)).toMatchObject({ error: { field: "text" } });
});
