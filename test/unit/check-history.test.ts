import { describe, expect, test } from "vitest";
import {
  checkHistory,
  type Fields,
  type History,
  type LogEntry,
  type LoggedChange,
  type PublishRecord,
  type Rule,
  type ViewerRecord,
} from "../../bench/torture/check-history.ts";

const PROJECT = "p";
const EPOCH = "00000000000000aa";
const AGENT = { kind: "agent", id: "a" };
const at = (seq: number) => new Date(Date.UTC(2026, 10, 22, 6, 0, 0, seq));

/**
 * A session opened (seq 1), changed by op 1 (seq 2), a task created and the session changed by op 2 (seq 3 and 4, one
 * entry), the task changed by op 3 (seq 5); op 4 was refused. Two viewers: one from the start, one by snapshot.
 */
function goodHistory(): { -readonly [K in keyof History]: History[K][number][] } {
  const session = { session_id: "s", project_id: PROJECT, status: "ACTIVE", metadata: {}, incarnation: 1 };
  const task = { task_id: "t", session_id: "s", project_id: PROJECT, status: "PENDING", title: "T" };
  const created = { ...session, version: 1, seq: 1, created_at: iso(1), updated_at: iso(1) };
  const newTask = { ...task, metadata: { mark: "m2" }, version: 1, seq: 3, created_at: iso(3), updated_at: iso(3) };
  const entries = [
    entry(change(1, "session", 1, { type: "created", state: created })),
    entry(change(2, "session", 2, { op: 1, patch: { metadata: { mark: "m1" } } })),
    entry(
      change(3, "task", 1, { op: 2, type: "created", state: newTask }),
      change(4, "session", 3, { op: 2, patch: { metadata: { mark: "m2" }, status: "IDLE" } }),
    ),
    entry(change(5, "task", 2, { op: 3, patch: { metadata: { mark: "m3" }, status: "IN_PROGRESS" } })),
  ];
  const endOfSession = {
    ...{ ...session, status: "IDLE", metadata: { mark: "m2" } },
    ...{ version: 3, seq: 4, created_at: iso(1), updated_at: iso(3) },
  };
  const endOfTask = {
    ...{ ...task, status: "IN_PROGRESS", metadata: { mark: "m3" } },
    ...{ version: 2, seq: 5, created_at: iso(3), updated_at: iso(5) },
  };
  return {
    entries,
    publishes: [
      acked(1, "m1", [result("session", "s", 2, 2)]),
      acked(2, "m2", [result("task", "t", 1, 3), result("session", "s", 3, 4)]),
      acked(3, "m3", [result("task", "t", 2, 5)]),
      { ...acked(4, "m4", []), changes: 1, outcome: "refused" },
    ],
    documents: [
      { ...endOfSession, _id: "p/s", applied_seq: 5, last_op: 3, created_at: at(1), updated_at: at(3) },
      { ...endOfTask, _id: "p/s/t", applied_seq: 5, created_at: at(3), updated_at: at(5) },
    ],
    viewers: [
      viewer("from the start", [endOfSession, endOfTask], 0, entries),
      viewer("by snapshot", [endOfTask, { ...endOfSession, display: { state: "idle" } }], 4, entries.slice(3)),
    ],
  };
}

function iso(seq: number): string {
  return at(seq).toISOString();
}

function change(seq: number, kind: "session" | "task", version: number, rest: Partial<LoggedChange>): LoggedChange {
  const id = kind === "session" ? "s" : "t";
  return { seq, kind, id, session_id: "s", version, type: "updated", actor: AGENT, incarnation: 1, ...rest };
}

function entry(...changes: LoggedChange[]): LogEntry {
  const seq = changes[0]?.seq ?? 0;
  return { _id: { p: PROJECT, s: seq }, to_seq: seq + changes.length - 1, epoch: EPOCH, at: at(seq), changes };
}

function result(kind: string, id: string, version: number, seq: number) {
  return { kind, id, version, seq, changed: true };
}

function acked(op: number, mark: string, results: NonNullable<PublishRecord["results"]>): PublishRecord {
  const ref = { project_id: PROJECT, session_id: "s", incarnation: 1 };
  return { ...ref, op, mark, outcome: "acked", changes: results.length, results };
}

function viewer(name: string, mirror: Fields[], snapshotSeq: number, entries: readonly LogEntry[]): ViewerRecord {
  const epoch = snapshotSeq === 0 ? "" : EPOCH;
  const frames = entries.map(({ _id, to_seq, changes }) => ({
    ...({ type: "changes", epoch: EPOCH, from_seq: _id.s, to_seq } as const),
    changes: changes.map(({ seq, kind, id, session_id, version }) => ({ seq, kind, id, session_id, version })),
  }));
  return { name, project_id: PROJECT, steps: [{ type: "snapshot", epoch, seq: snapshotSeq }, ...frames], mirror };
}

function rulesBrokenBy(spoil: (history: ReturnType<typeof goodHistory>) => void): Rule[] {
  const history = goodHistory();
  spoil(history);
  return [...new Set(checkHistory(history).map((violation) => violation.rule))].sort();
}

/** Entries are readonly for everybody but whoever forges them. */
function forge<T extends object>(target: T | undefined, changes: Partial<T>): void {
  Object.assign(target ?? {}, changes);
}

describe("a history in which nothing went wrong", () => {
  test("has no violations", () => {
    expect(checkHistory(goodHistory())).toEqual([]);
  });

  test("may hold a publish that was never answered, in the log or not", () => {
    const broken = rulesBrokenBy(({ publishes }) => {
      forge(publishes[2], { outcome: "unknown" });
      publishes.push({ ...acked(4, "m5", []), changes: 1, outcome: "unknown" });
    });
    expect(broken).toEqual([]);
  });

  test("may hold a refused op number that was used again", () => {
    const broken = rulesBrokenBy(({ publishes }) => {
      publishes.unshift({ ...acked(3, "refused first", []), changes: 1, outcome: "refused" });
    });
    expect(broken).toEqual([]);
  });
});

describe("lost", () => {
  test("an acked publish that is not in the log", () => {
    const broken = rulesBrokenBy(({ publishes }) => publishes.push(acked(5, "m5", [result("session", "s", 4, 6)])));
    expect(broken).toEqual(["acked-once"]);
  });

  test("the last entry, which agents and viewers had been told of", () => {
    const broken = rulesBrokenBy(({ entries }) => entries.pop());
    expect(broken).toEqual(["acked-once", "documents", "viewer-level", "viewer-whole"]);
  });

  test("one of the changes of an atomic publish", () => {
    const broken = rulesBrokenBy(({ publishes }) => forge(publishes[2], { changes: 2 }));
    expect(broken).toEqual(["acked-once"]);
  });

  test("the change that the ack named, replaced by another", () => {
    const broken = rulesBrokenBy(({ publishes }) => forge(publishes[0], { results: [result("session", "s", 2, 1)] }));
    expect(broken).toEqual(["acked-once"]);
  });
});

describe("duplicated", () => {
  test("a publish that was applied a second time after a lost ack", () => {
    const broken = rulesBrokenBy(({ entries }) => {
      entries.push(entry(change(6, "task", 3, { op: 3, patch: { metadata: { mark: "m3" } } })));
    });
    expect(broken).toContain("acked-once");
  });

  test("an entry number that is there twice", () => {
    const broken = rulesBrokenBy(({ entries }) => entries.push(entry(change(5, "task", 3, { type: "liveness" }))));
    expect(broken).toContain("log-contiguous");
  });

  test("a change that nobody asked for", () => {
    const broken = rulesBrokenBy(({ publishes }) => publishes.splice(2, 1));
    expect(broken).toEqual(["nothing-else"]);
  });

  test("a change that was refused", () => {
    const broken = rulesBrokenBy(({ publishes }) => forge(publishes[2], { outcome: "refused" }));
    expect(broken).toEqual(["nothing-else", "refused-absent"]);
  });
});

describe("gapped", () => {
  test("a hole in the numbers of the log", () => {
    const broken = rulesBrokenBy(({ entries }) => entries.splice(1, 1));
    expect(broken).toEqual(["acked-once", "log-contiguous", "versions", "viewer-whole"]);
  });

  test("an entry that holds less than it says", () => {
    expect(rulesBrokenBy(({ entries }) => forge(entries[3], { to_seq: 6 }))).toContain("log-contiguous");
  });

  test("a new epoch in the middle", () => {
    expect(rulesBrokenBy(({ entries }) => forge(entries[3], { epoch: "00000000000000bb" }))).toEqual([
      "log-contiguous",
    ]);
  });

  test("a time that goes backwards", () => {
    expect(rulesBrokenBy(({ entries }) => forge(entries[1], { at: at(0) }))).toContain("log-contiguous");
  });

  test("a version that is skipped", () => {
    const broken = rulesBrokenBy(({ entries }) => forge(entries[3]?.changes[0], { version: 3 }));
    expect(broken).toContain("versions");
  });

  test("a frame that a viewer never got", () => {
    const broken = rulesBrokenBy(({ viewers }) =>
      forge(viewers[0], { steps: viewers[0]?.steps.toSpliced(2, 1) ?? [] }),
    );
    expect(broken).toEqual(["viewer-whole"]);
  });

  test("the last frame, which no later one betrays", () => {
    const broken = rulesBrokenBy(({ viewers }) => forge(viewers[0], { steps: viewers[0]?.steps.slice(0, -1) ?? [] }));
    expect(broken).toEqual(["viewer-level"]);
  });

  test("a viewer that saw a change which is not in the log", () => {
    const seen = [{ seq: 5, kind: "task", id: "t", session_id: "s", version: 9 }] as const;
    const step = { type: "changes", epoch: EPOCH, from_seq: 5, to_seq: 5, changes: seen } as const;
    const broken = rulesBrokenBy(({ viewers }) =>
      forge(viewers[1], { steps: [...(viewers[1]?.steps.slice(0, -1) ?? []), step] }),
    );
    expect(broken).toEqual(["viewer-whole"]);
  });
});

describe("documents and mirrors", () => {
  test("a document behind the log", () => {
    expect(rulesBrokenBy(({ documents }) => forge(documents[1], { status: "PENDING" }))).toEqual(["documents"]);
  });

  test("a document that missed the mark of its task's change", () => {
    expect(rulesBrokenBy(({ documents }) => forge(documents[0], { applied_seq: 4 }))).toEqual(["documents"]);
  });

  test("a document missing, and one that no log explains", () => {
    expect(rulesBrokenBy(({ documents }) => documents.pop())).toEqual(["documents"]);
    expect(rulesBrokenBy(({ documents }) => documents.push({ _id: "p/other" }))).toEqual(["documents"]);
  });

  test("a whole state in the log that its own patch does not lead to", () => {
    const broken = rulesBrokenBy(({ entries, documents }) => {
      const state = { ...documents[1], status: "BLOCKED" };
      forge(entries[3]?.changes[0], { state });
    });
    expect(broken).toContain("documents");
  });

  test("a mirror that differs from the log", () => {
    const broken = rulesBrokenBy(({ viewers }) => forge(viewers[0]?.mirror[0], { status: "FAILED" }));
    expect(broken).toEqual(["viewer-level"]);
  });
});
