import { describe, expect, test } from "vitest";
import { Mirror } from "../../client/mirror.ts";
import type { Entry, LogChange } from "../../server/domain/records.ts";
import { TouchedEntities } from "../../server/following/touched-entities.ts";
import { EntryWire } from "../../server/redis/entry-wire.ts";
import type { Change } from "../../shared/entities.ts";

/** As a later release may log it. */
const artifact = {
  seq: 2,
  kind: "artifact",
  id: "file",
  session_id: "s",
  version: 1,
  type: "attached",
  actor: { kind: "agent", id: "a" },
  state: { artifact_id: "file", version: 1, seq: 2 },
} as unknown as LogChange;

const entry: Entry = {
  project_id: "p",
  from_seq: 2,
  to_seq: 2,
  epoch: "0123456789abcdef",
  hub_id: "hub.later",
  at: "2026-11-22T06:00:00.000Z",
  changes: [artifact],
};

describe("[X4] a change of a kind that only later releases know", () => {
  test("comes from hub to hub as every other", () => {
    const [one, other] = [new EntryWire("secret"), new EntryWire("secret")];
    expect(other.decode(one.encode(entry))).toEqual(entry);
  });

  test("is nothing that a viewer behind has to be told the state of, and the rest is", () => {
    const touched = new TouchedEntities({ epoch: entry.epoch, seq: 1 }, 100);
    touched.note(entry);
    const task = { ...artifact, seq: 3, kind: "task", id: "t" } as LogChange;
    touched.note({ ...entry, from_seq: 3, to_seq: 3, changes: [task] });
    expect(touched.after(1, { epoch: entry.epoch, seq: 3 })?.map(({ kind, id }) => [kind, id])).toEqual([
      ["task", "t"],
    ]);
  });

  test("moves a client's position and changes nothing else", () => {
    const mirror = new Mirror();
    mirror.beginJoin();
    const { epoch } = entry;
    mirror.joined({ mode: "snapshot", reason: "first", epoch, seq: 1, sessions: [], tasks: [] });
    const changes = [{ ...artifact, at: entry.at } as Change];
    const verdict = mirror.frame({ project_id: "p", epoch, from_seq: 2, to_seq: 2, changes });
    expect(verdict).toEqual({ next: "go on", changes: [] });
    expect(mirror.position).toEqual({ epoch, seq: 2 });
    expect([mirror.sessions.size, mirror.tasks.size]).toEqual([0, 0]);
  });
});
