import { describe, expect, test } from "vitest";
import { StateHubError } from "../../client/errors.ts";
import { answerFor, Entry, type EntryContent, type EntryKind, Outbox } from "../../client/outbox.ts";
import { OutboxBudget } from "../../client/outbox-budget.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";

const bounds = { maxChanges: 100, maxBytes: 10_000 };
const room = { maxPublishes: 10, maxBytes: 100_000 };
let ids = 0;

function entryOf(content: EntryContent, kind: Partial<EntryKind> = {}): Entry {
  ids += 1;
  return new Entry(ids, content, { alone: false, latest: false, ...kind }, () => {});
}

function entry(edits: Edit[], kind: Partial<EntryKind> = {}): Entry {
  return entryOf({ kind: "publish", edits }, kind);
}

function outboxWith(...entries: Entry[]): Outbox {
  const outbox = new Outbox(new OutboxBudget(room, () => {}));
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
    expect(outbox.count).toBe(0);
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
    const each = many[0]?.bytes ?? 0;
    expect(outboxWith(...many).take({ maxChanges: 3, maxBytes: 10_000 })?.entries).toHaveLength(3);
    expect(outboxWith(...many).take({ maxChanges: 100, maxBytes: 2.5 * each })?.entries).toHaveLength(2);
  });

  test("an entry that is meant to be alone, and a close, share with nobody", () => {
    const close = entryOf({ kind: "close", status: "COMPLETED" });
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
    expect(outbox.count).toBe(3);
    expect(edits(outbox.take(bounds)?.content)).toEqual([progress("a", 0)]);
    expect(edits(outbox.take(bounds)?.content)).toEqual([progress("b", 0)]);
  });

  test("takes room from what all sessions share, until each entry is settled", () => {
    const told: number[] = [];
    const budget: OutboxBudget = new OutboxBudget({ maxPublishes: 2, maxBytes: 250 }, () =>
      told.push(budget.depth.publishes),
    );
    const [one, other] = [new Outbox(budget), new Outbox(budget)];
    const [first, second] = [entry([progress("a", 0)]), entry([progress("b", 0)])];
    one.add(first);
    expect([budget.hasRoomFor(1, 250 - first.bytes), budget.hasRoomFor(1, 251 - first.bytes)]).toEqual([true, false]);
    other.add(second);
    expect([budget.hasRoomFor(1, 1), budget.hasRoomFor(0, 1)]).toEqual([false, true]);
    const batch = one.take(bounds);
    expect(budget.depth).toEqual({ publishes: 2, bytes: first.bytes + second.bytes });
    one.settle(batch?.entries ?? [], () => new StateHubError("VALIDATION", "no"));
    expect(budget.depth).toEqual({ publishes: 1, bytes: second.bytes });
    expect(told).toEqual([1, 2, 1]);
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

describe("client outbox of values of which the latest counts", () => {
  const latest = { latest: true };

  /** Publishes one after the other as a session does; answers what then waits. */
  function waiting(...publishes: [EntryContent, Partial<EntryKind>][]): unknown[] {
    const outbox = outboxWith();
    for (const [content, kind] of publishes) {
      const found = kind.latest ? outbox.overwritable(content, bounds) : undefined;
      if (found === undefined) outbox.add(entryOf(content, kind));
      else outbox.overwrite(found.entry, found.content);
    }
    return outbox.takeAll().map((one) => edits(one.content));
  }

  const publish = (...edits: Edit[]): EntryContent => ({ kind: "publish", edits });

  test("a later value takes the place of the earlier one, past other entities", () => {
    expect(
      waiting(
        [publish(progress("a", 0.1)), latest],
        [publish(progress("b", 0.5)), {}],
        [publish(progress("a", 0.2)), latest],
        [publish(progress("a", 0.3)), latest],
      ),
    ).toEqual([[progress("a", 0.3)], [progress("b", 0.5)]]);
  });

  test("all edits of a publish stay together", () => {
    const ab = publish(progress("a", 0.1), progress("b", 0.1));
    expect(waiting([ab, latest], [publish(progress("b", 0.2), progress("c", 0.2)), latest])).toEqual([
      [progress("a", 0.1), progress("b", 0.2), progress("c", 0.2)],
    ]);
    // a and b wait in two publishes: moving b forward to a would make it visible before what lies between.
    const two = waiting([publish(progress("a", 0.1)), latest], [publish(progress("b", 0.1)), latest], [ab, latest]);
    expect(two).toHaveLength(3);
  });

  test.each<[string, [EntryContent, Partial<EntryKind>]]>([
    ["a publish alone", [publish(progress("b", 0)), { alone: true }]],
    ["an expectation", [publish({ ...progress("b", 0), expected_version: 3 }), {}]],
    ["an end", [publish({ kind: "session", status: "COMPLETED" }), {}]],
    ["a close", [{ kind: "close", status: "FAILED" }, {}]],
    ["a value of the same entity that is to stay", [publish(progress("a", 0.5)), {}]],
  ])("never passes over %s", (_, barrier) => {
    expect(waiting([publish(progress("a", 0.1)), latest], barrier, [publish(progress("a", 0.2)), latest])).toHaveLength(
      3,
    );
  });

  test("never leaves out a step of a task, nor overwrites with an expectation", () => {
    const step = (status: "IN_PROGRESS" | "COMPLETED"): EntryContent => publish({ kind: "task", task_id: "a", status });
    expect(waiting([step("IN_PROGRESS"), latest], [step("COMPLETED"), latest])).toHaveLength(2);
    const expecting = publish({ ...progress("a", 0.2), expected_version: 2 });
    expect(waiting([publish(progress("a", 0.1)), latest], [expecting, latest])).toHaveLength(2);
  });

  test("never touches what is under way or came back refused, and keeps to the limits of one publish", () => {
    const outbox = outboxWith(entry([progress("a", 0.1)], latest), entry([progress("b", 0.1)], latest));
    const batch = outbox.take(bounds);
    expect(outbox.overwritable(publish(progress("a", 0.2)), bounds)).toBeUndefined();
    if (batch !== undefined) outbox.putBackAlone(batch);
    expect(outbox.overwritable(publish(progress("a", 0.2)), bounds)).toBeUndefined();
    const small = outboxWith(entry([progress("a", 0.1)], latest));
    expect(
      small.overwritable(publish(progress("a", 0.2), progress("b", 0)), { ...bounds, maxChanges: 1 }),
    ).toBeUndefined();
    expect(small.overwritable(publish(progress("a", 0.2)), { ...bounds, maxBytes: 10 })).toBeUndefined();
    const keys = (from: number): Edit => {
      const names = Array.from({ length: 40 }, (_, index) => [`k${from + index}`, 1]);
      return { kind: "session", metadata: Object.fromEntries(names) };
    };
    const many = outboxWith(entry([keys(0)], latest));
    expect(many.overwritable(publish(keys(20)), bounds)).toBeDefined();
    expect(many.overwritable(publish(keys(40)), bounds)).toBeUndefined();
  });
});
