import { beforeEach, describe, expect, test } from "vitest";
import type { Hubs } from "../../server/ports.ts";
import { AT } from "../support/entries.ts";

/** What all Hubs do. `fresh` makes an empty one. */
export function hubsContract(name: string, fresh: () => Promise<Hubs>): void {
  describe(`hub rows in ${name}`, () => {
    let hubs: Hubs;
    beforeEach(async () => {
      hubs = await fresh();
    });

    test("a row begins at 1 and is raised by 1", async () => {
      expect(await hubs.raise("a", AT)).toBe(1);
      expect(await hubs.raise("b", AT)).toBe(1);
      expect(await hubs.raise("a", AT)).toBe(2);
      expect(await hubs.read(10)).toEqual(new Map([["a", 2], ["b", 1]])); // biome-ignore format: one row each
    });

    test("no more rows are read than asked for", async () => {
      for (const hubId of ["c", "a", "b"]) await hubs.raise(hubId, AT);
      expect([...(await hubs.read(2)).keys()]).toEqual(["a", "b"]);
      expect(await (await fresh()).read(2)).toEqual(new Map());
    });

    test("a removed row is gone, for whoever removes it and however often; raised again it begins anew", async () => {
      await hubs.raise("a", AT);
      await hubs.raise("a", AT);
      await hubs.raise("b", AT);
      await hubs.remove("a");
      await hubs.remove("a");
      await hubs.remove("unknown");
      expect(await hubs.read(10)).toEqual(new Map([["b", 1]]));
      expect(await hubs.raise("a", AT)).toBe(1);
    });

    test("a row that was raised meanwhile is not removed", async () => {
      await hubs.raise("a", AT);
      await hubs.raise("a", AT);
      await hubs.remove("a", 1);
      expect(await hubs.read(10)).toEqual(new Map([["a", 2]]));
      await hubs.remove("a", 2);
      expect(await hubs.read(10)).toEqual(new Map());
    });
  });
}
