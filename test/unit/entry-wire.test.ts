import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { Entry } from "../../server/domain/records.ts";
import { EntryWire } from "../../server/redis/entry-wire.ts";
import { creation, entryOf } from "../support/entries.ts";

const SECRET = "a secret of the database";
const EPOCH = "0123456789abcdef";
const ENTRY = entryOf([creation(1, "s1"), { ...creation(2, "s2"), op: 3, incarnation: 1 }], { epoch: EPOCH });

const wire = new EntryWire(SECRET);

/** As a hub of this database would send it, whatever it is. */
const signed = (content: unknown) => wire.encode(content as Entry);

const [FIRST, SECOND] = ENTRY.changes;

describe("an entry on its way to other hubs", () => {
  test("[D19] arrives as it was sent, at a hub of the same database", () => {
    expect(new EntryWire(SECRET).decode(wire.encode(ENTRY))).toEqual(ENTRY);
  });

  test("[D19] is nothing at a hub of another database", () => {
    expect(new EntryWire("another secret").decode(wire.encode(ENTRY))).toBeUndefined();
  });

  test("[D19] is nothing when one bit of it has changed, or a part is missing", () => {
    const message = wire.encode(ENTRY);
    for (let at = 0; at < message.length; at++) {
      const altered = Buffer.from(message);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      expect(wire.decode(altered), `byte ${at}`).toBeUndefined();
      expect(wire.decode(message.subarray(0, at)), `${at} bytes`).toBeUndefined();
    }
  });

  test("[D19] is nothing in any other form", () => {
    for (const message of [undefined, null, 1, "", "x", {}, [], [1], Buffer.alloc(0), Buffer.alloc(25, 1), ENTRY]) {
      expect(wire.decode(message)).toBeUndefined();
    }
  });

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a list", [ENTRY]],
    ["no project", { ...ENTRY, project_id: undefined }],
    ["a project that is no id", { ...ENTRY, project_id: "a/b" }],
    ["a seq of 0", { ...ENTRY, from_seq: 0 }],
    ["a seq that is text", { ...ENTRY, from_seq: "1" }],
    ["a seq with a fraction", { ...ENTRY, from_seq: 1.5, to_seq: 2.5 }],
    ["a seq beyond the safe ones", { ...ENTRY, from_seq: 2 ** 53, to_seq: 2 ** 53 + 1 }],
    ["more seqs than changes", { ...ENTRY, to_seq: 3 }],
    ["fewer seqs than changes", { ...ENTRY, to_seq: 1 }],
    ["an epoch of another form", { ...ENTRY, epoch: "e" }],
    ["no time", { ...ENTRY, at: "yesterday" }],
    ["no hub", { ...ENTRY, hub_id: "" }],
    ["no changes", { ...ENTRY, to_seq: 0, changes: [] }],
    ["changes that are none", { ...ENTRY, changes: [1, null] }],
    ["changes in another order", { ...ENTRY, changes: [SECOND, FIRST] }],
    ["a change without a kind", { ...ENTRY, changes: [FIRST, { ...SECOND, kind: "" }] }],
    ["a change of nobody", { ...ENTRY, changes: [FIRST, { ...SECOND, actor: undefined }] }],
    ["a change without content", { ...ENTRY, changes: [FIRST, { ...SECOND, state: undefined }] }],
    ["a change with a list for content", { ...ENTRY, changes: [FIRST, { ...SECOND, state: [] }] }],
    ["a change without version", { ...ENTRY, changes: [FIRST, { ...SECOND, version: 0 }] }],
    ["a change of a session that is no id", { ...ENTRY, changes: [FIRST, { ...SECOND, session_id: "" }] }],
    [
      "more changes than an entry holds",
      {
        ...ENTRY,
        to_seq: BOUNDS.entryChanges + 1,
        changes: Array.from({ length: BOUNDS.entryChanges + 1 }, (_, index) => ({ ...FIRST, seq: index + 1 })),
      },
    ],
  ])("[D19] is nothing with %s, though a hub of the database sent it", (_, content) => {
    expect(wire.decode(signed(content ?? "nothing"))).toBeUndefined();
  });

  test("[D19] [X4] fields and kinds that only a newer release knows are no obstacle", () => {
    const later = { ...SECOND, kind: "project" };
    expect(wire.decode(signed({ ...ENTRY, changes: [FIRST, later] }))).toMatchObject({ changes: [FIRST, later] });
    const newer = { ...ENTRY, later: 1, changes: ENTRY.changes.map((change) => ({ ...change, later: {} })) };
    expect(wire.decode(signed(newer))).toMatchObject(ENTRY);
  });

  test("every hub knows its own messages", () => {
    const other = new EntryWire(SECRET);
    expect(wire.encode(ENTRY).includes(wire.tag)).toBe(true);
    expect(other.encode(ENTRY).includes(wire.tag)).toBe(false);
  });

  test("[D19] notes count from hubs of the database, each for what it says, and only whole", () => {
    const behind = wire.seal("behind");
    expect(new EntryWire(SECRET).isSealed("behind", behind)).toBe(true);
    expect(wire.isSealed("probe", behind)).toBe(false);
    expect(new EntryWire("another secret").isSealed("behind", behind)).toBe(false);
    for (const wrong of [behind.subarray(1), Buffer.concat([behind, behind]), behind.toString(), wire.tag, undefined]) {
      expect(wire.isSealed("behind", wrong)).toBe(false);
    }
    expect(wire.decode(behind)).toBeUndefined();
  });
});
