import { describe, expect, test } from "vitest";
import { answerFor, type Entry, type EntryContent, Outbox } from "../../client/outbox.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";

const bounds = { maxChanges: 100, maxBytes: 10_000 };

function entry(edits: Edit[], extra: Partial<Entry> = {}): Entry {
  return { content: { kind: "publish", edits }, bytes: 100, alone: false, settle: () => {}, ...extra };
}

function outboxWith(...entries: Entry[]): Outbox {
  const outbox = new Outbox({ maxEntries: 10, maxBytes: 1_000 });
  for (const one of entries) outbox.add(one);
  return outbox;
}

const progress = (task_id: string, value: number): Edit => ({ kind: "task", task_id, progress: value });
const edits = (content: EntryContent | undefined) => (content?.kind === "publish" ? content.edits : content);

describe("client outbox", () => {
  test("merges what waits into one publish, an entity once, in the order of first touch", () => {
    const outbox = outboxWith(
      entry([progress("a", 0.1)]),
      entry([progress("b", 0.2)]),
      entry([progress("a", 0.3), { kind: "session", status: "IDLE" }]),
    );
    const batch = outbox.take(bounds);
    expect(batch?.entries).toHaveLength(3);
    expect(edits(batch?.content)).toEqual([
      progress("a", 0.3),
      progress("b", 0.2),
      { kind: "session", status: "IDLE" },
    ]);
    expect([outbox.count, outbox.bytes]).toEqual([0, 0]);
  });

  test("ends a publish where merging would change the meaning, and takes the rest next", () => {
    const outbox = outboxWith(
      entry([{ kind: "task", task_id: "a", status: "IN_PROGRESS" }]),
      entry([{ kind: "task", task_id: "a", status: "COMPLETED" }, progress("b", 1)]),
      entry([progress("b", 0.5)]),
    );
    expect(outbox.take(bounds)?.entries).toHaveLength(1);
    expect(edits(outbox.take(bounds)?.content)).toEqual([
      { kind: "task", task_id: "a", status: "COMPLETED" },
      progress("b", 0.5),
    ]);
  });

  test("lets nothing slip in with the end of the session", () => {
    const outbox = outboxWith(entry([{ kind: "session", status: "COMPLETED" }]), entry([progress("a", 1)]));
    expect(outbox.take(bounds)?.entries).toHaveLength(1);
  });

  test("keeps to the limits of one publish", () => {
    const many = Array.from({ length: 5 }, (_, index) => entry([progress(`t${index}`, 0)]));
    expect(outboxWith(...many).take({ maxChanges: 3, maxBytes: 10_000 })?.entries).toHaveLength(3);
    expect(outboxWith(...many).take({ maxChanges: 100, maxBytes: 250 })?.entries).toHaveLength(2);
  });

  test("an entry that is meant to be alone, and a close, share with nobody", () => {
    const close = entry([], { content: { kind: "close", status: "COMPLETED", metadata: undefined } });
    const outbox = outboxWith(
      entry([progress("a", 0)]),
      entry([progress("b", 0)], { alone: true }),
      entry([progress("c", 0)]),
      close,
    );
    expect([1, 2, 3, 4].map(() => outbox.take(bounds)?.entries.length)).toEqual([1, 1, 1, 1]);
    expect(outbox.take(bounds)).toBeUndefined();
  });

  test("a refused batch comes back to the front, one by one", () => {
    const outbox = outboxWith(entry([progress("a", 0)]), entry([progress("b", 0)]), entry([progress("c", 0)]));
    const batch = outbox.take({ maxChanges: 2, maxBytes: 10_000 });
    if (batch === undefined) throw new Error("nothing to take");
    outbox.putBackAlone(batch);
    expect([outbox.count, outbox.bytes]).toEqual([3, 300]);
    expect(edits(outbox.take(bounds)?.content)).toEqual([progress("a", 0)]);
    expect(edits(outbox.take(bounds)?.content)).toEqual([progress("b", 0)]);
  });

  test("is bounded by count and by bytes", () => {
    const outbox = new Outbox({ maxEntries: 2, maxBytes: 250 });
    expect(outbox.hasRoomFor(251)).toBe(false);
    outbox.add(entry([]));
    expect(outbox.hasRoomFor(150)).toBe(true);
    expect(outbox.hasRoomFor(151)).toBe(false);
    outbox.add(entry([]));
    expect(outbox.hasRoomFor(1)).toBe(false);
  });

  test("gives each caller the results of its own edits", () => {
    const result = (kind: "session" | "task", id: string) => ({ kind, id, version: 1, seq: 1, changed: true });
    const published = {
      epoch: "e",
      seq: 3,
      results: [result("session", "s"), result("task", "s"), result("task", "b")],
    };
    expect(answerFor(entry([{ kind: "session" }]), published, "s").results).toEqual([result("session", "s")]);
    expect(answerFor(entry([progress("s", 0)]), published, "s").results).toEqual([result("task", "s")]);
    expect(answerFor(entry([progress("b", 0)]), { epoch: "e", seq: 3 } as never, "s").results).toEqual([]);
  });
});
