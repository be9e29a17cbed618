import { describe, expect, test } from "vitest";
import { readApiKeys, readMongodbUri } from "../../server/secret-files.ts";

const A = "3f0e5a52-1d0a-4c1b-9d7e-6a7b8c9d0e1f";
const B = "7c1f0b8e-2b1c-4d2e-8f3a-1b2c3d4e5f60";
const OLD = "7c1f0b8e-2b1c-1d2e-8f3a-1b2c3d4e5f60";

describe("API_KEYS_FILE", () => {
  test.each([
    [A, [A]],
    [`${A}\n${B}`, [A, B]],
    [`${A}, ${B}`, [A, B]],
    [`# night shift\r\n ${A} # until May\r\n\r\n${B},\r\n`, [A, B]],
  ])("[K24] %j", (text, keys) => {
    expect(readApiKeys(text, false)).toEqual({ keys, warnings: [] });
  });

  test.each([
    ["", /holds no key/],
    ["# nothing\n,", /holds no key/],
    [`${A}\nhunter2`, /key 2 is not a UUID/],
    [`${A}\n${A}`, /names a key twice/],
  ])("[K24] [K11] %j is refused as a whole, without a quotation", (text, message) => {
    expect(() => readApiKeys(text, false)).toThrow(message);
    expect(() => readApiKeys(text, false)).not.toThrow("hunter2");
  });

  test("[K5] a UUID that is not random gets a warning; development may use words", () => {
    expect(readApiKeys(OLD, false).warnings).toEqual([expect.stringContaining("key 1 is not a random")]);
    expect(readApiKeys("word", true).keys).toEqual(["word"]);
  });
});

test("[K25] MONGODB_URI_FILE holds one URI", () => {
  expect(readMongodbUri("mongodb+srv://u:p@host/db")).toBe("mongodb+srv://u:p@host/db");
  for (const text of ["", "hunter2", "http://host", "mongodb://a\nmongodb://b"]) {
    expect(() => readMongodbUri(text)).toThrow(/holds no URI/);
    expect(() => readMongodbUri(text)).not.toThrow("hunter2");
  }
});
