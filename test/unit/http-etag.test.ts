import { describe, expect, test } from "vitest";
import { acceptedVersions, etagOf, isUnchanged } from "../../server/http/etag.ts";

describe("entity tags", () => {
  test("[R17] the tag is the version, strong", () => {
    expect(etagOf({ version: 3 })).toBe('"3"');
  });

  test.each([
    ['"3"', true],
    ['W/"3"', true],
    ['"1", "3"', true],
    ["*", true],
    ['"2"', false],
    ['"33"', false],
    ["3", false],
    ["", false],
    [undefined, false],
  ])("[R17] If-None-Match %s against version 3: %s", (header, unchanged) => {
    expect(isUnchanged(header, 3)).toBe(unchanged);
  });

  test.each([
    [undefined, "any"],
    ["*", "any"],
    ['"3"', [3]],
    ['"3", "5"', [3, 5]],
    [' "3" ,"5" ', [3, 5]],
    // Strong comparison: a weak tag never matches, nor does a tag of something else.
    ['W/"3"', []],
    ['W/"3", "5"', [5]],
    ['"abc"', []],
    ['"a,b", "5"', [5]],
    ['"0"', []],
    ['""', []],
  ])("[R22] If-Match %s accepts %j", (header, versions) => {
    expect(acceptedVersions(header)).toEqual(versions);
  });

  test.each(["3", '"3', "W/3", '"3" "4"', "", '*, "3"', Array(17).fill('"1"').join(",")])(
    "[R22] If-Match %s does not read",
    (header) => {
      expect(acceptedVersions(header)).toBeUndefined();
    },
  );
});
