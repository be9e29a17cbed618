import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Mirror, taskMapKey, type Verdict } from "../../client/mirror.ts";
import type { Change, Session, Task } from "../../shared/entities.ts";
import type { JsonObject } from "../../shared/json.ts";
import { diffPatch } from "../../shared/merge-patch.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import type { ProjectJoined } from "../../shared/messages/project-join.ts";
import { sampleSession } from "../support/entries.ts";

const EPOCH = "e1";

function time(seq: number): string {
  return new Date(Date.UTC(2026, 10, 22, 6) + seq * 1_000).toISOString();
}

function newSession(id: string, seq: number): Session {
  return sampleSession({ session_id: id, created_at: time(seq), updated_at: time(seq), seq });
}

function newTask(session_id: string, task_id: string, seq: number): Task {
  return {
    task_id,
    session_id,
    project_id: "p",
    title: "T",
    status: "PENDING",
    metadata: {},
    created_at: time(seq),
    updated_at: time(seq),
    version: 1,
    seq,
  };
}

/** A log and, for every seq, the state that it folds to. */
class History {
  readonly changes: Change[] = [];
  readonly states: { sessions: Map<string, Session>; tasks: Map<string, Task> }[] = [
    { sessions: new Map(), tasks: new Map() },
  ];

  get head(): number {
    return this.changes.length;
  }

  /** Creates the entity, or gives it other metadata. */
  touch(kind: "session" | "task", sessionId: string, taskId: string, value: number): void {
    const seq = this.head + 1;
    const last = this.states[seq - 1];
    if (last === undefined) throw new Error("no state");
    const state = { sessions: new Map(last.sessions), tasks: new Map(last.tasks) };
    const map: Map<string, Session | Task> = kind === "session" ? state.sessions : state.tasks;
    const key = kind === "session" ? sessionId : taskMapKey(sessionId, taskId);
    const before = map.get(key);
    const common = { seq, at: time(seq), kind, id: kind === "session" ? sessionId : taskId, session_id: sessionId };
    const actor = { kind: "agent", id: "a" } as const;
    if (before === undefined) {
      const created = kind === "session" ? newSession(sessionId, seq) : newTask(sessionId, taskId, seq);
      map.set(key, created);
      this.changes.push({ ...common, version: 1, type: "created", actor, state: created } as Change);
    } else {
      const metadata = value === 0 ? {} : { a: { value }, [`k${value}`]: seq };
      const after = { ...before, metadata, version: before.version + 1, seq, updated_at: time(seq) };
      const patch = diffPatch({ metadata: before.metadata }, { metadata } as JsonObject) ?? {};
      map.set(key, after);
      this.changes.push({ ...common, version: after.version, type: "updated", actor, patch } as Change);
    }
    this.states.push(state);
  }

  frame(from: number, to: number): ChangesFrame {
    return { project_id: "p", epoch: EPOCH, from_seq: from, to_seq: to, changes: this.changes.slice(from - 1, to) };
  }

  /** One element per entity, with its state. */
  conflatedFrame(from: number, to: number): ChangesFrame {
    const newest = new Map<string, Change>();
    for (const change of this.changes.slice(from - 1, to)) {
      const key = change.kind === "session" ? change.id : taskMapKey(change.session_id, change.id);
      const state = this.states[to]?.[change.kind === "session" ? "sessions" : "tasks"].get(key);
      const { patch: _, ...rest } = change;
      newest.set(`${change.kind} ${key}`, { ...rest, state } as Change);
    }
    return { ...this.frame(from, to), changes: [...newest.values()], conflated: true };
  }

  snapshot(seq: number, reason: "first" | "too_far" = "first"): ProjectJoined & { mode: "snapshot" } {
    const state = this.states[seq];
    const [sessions, tasks] = [[...(state?.sessions.values() ?? [])], [...(state?.tasks.values() ?? [])]];
    return { mode: "snapshot", reason, epoch: seq === 0 ? "" : EPOCH, seq, sessions, tasks };
  }

  replay(since: number, seq: number): ProjectJoined {
    return { mode: "replay", epoch: EPOCH, from_seq: since + 1, seq, changes: this.changes.slice(since, seq) };
  }

  expectEqual(mirror: Mirror): void {
    const state = this.states[mirror.position.seq];
    expect(mirror.sessions).toEqual(state?.sessions);
    expect(mirror.tasks).toEqual(state?.tasks);
  }
}

function historyOf(length: number): History {
  const history = new History();
  history.touch("session", "s1", "", 0);
  for (let index = 1; index < length; index++) history.touch("task", "s1", `t${index % 3}`, index);
  return history;
}

function joinedAt(history: History, seq: number): Mirror {
  const mirror = new Mirror();
  expect(mirror.beginJoin()).toBeUndefined();
  expect(mirror.joined(history.snapshot(seq)).next).toBe("replaced");
  return mirror;
}

describe("mirror", () => {
  test("[F1] takes frames that continue each other", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    const verdict = mirror.frame(history.frame(5, 7));
    expect(verdict).toMatchObject({ next: "go on", changes: [{}, {}, {}] });
    mirror.frame(history.frame(8, 9));
    history.expectEqual(mirror);
    expect(mirror.position).toEqual({ epoch: EPOCH, seq: 9 });
  });

  test("tells what each change did", () => {
    const history = historyOf(5);
    const mirror = joinedAt(history, 4);
    const verdict = mirror.frame(history.frame(5, 5)) as Verdict & { next: "go on" };
    const key = taskMapKey("s1", "t1");
    expect(verdict.changes[0]).toEqual({
      change: history.changes[4],
      before: history.states[4]?.tasks.get(key),
      after: history.states[5]?.tasks.get(key),
    });
  });

  test("[F1] a hole is never passed over: it joins again from where it stands", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    expect(mirror.frame(history.frame(6, 7))).toMatchObject({ next: "rejoin" });
    expect(mirror.frame(history.frame(5, 5))).toEqual({ next: "go on", changes: [] });
    expect(mirror.beginJoin()).toEqual({ epoch: EPOCH, seq: 4 });
    expect(mirror.joined(history.replay(4, 9))).toMatchObject({ next: "go on", changes: { length: 5 } });
    history.expectEqual(mirror);
  });

  test("[V15] ignores frames between a join request and its ack", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    mirror.beginJoin();
    expect(mirror.frame(history.frame(8, 9))).toEqual({ next: "go on", changes: [] });
    expect(mirror.positionTold({ project_id: "p", epoch: EPOCH, seq: 9 })).toEqual({ next: "go on", changes: [] });
    expect(mirror.reset()).toEqual({ next: "go on", changes: [] });
    mirror.joined(history.replay(4, 7));
    mirror.frame(history.frame(8, 9));
    history.expectEqual(mirror);
  });

  test("[F11] a position that differs shows the loss of the last frame", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    expect(mirror.positionTold({ project_id: "p", epoch: EPOCH, seq: 4 })).toEqual({ next: "go on", changes: [] });
    expect(mirror.positionTold({ project_id: "p", epoch: EPOCH, seq: 5 })).toMatchObject({ next: "rejoin" });
    expect(mirror.beginJoin()).toEqual({ epoch: EPOCH, seq: 4 });
  });

  test("[F16] after a reset it joins without since, and holds the old content until the new one is there", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    expect(mirror.reset()).toMatchObject({ next: "rejoin" });
    expect(mirror.beginJoin()).toBeUndefined();
    history.expectEqual(mirror);
    expect(mirror.joined(history.snapshot(9))).toMatchObject({ next: "replaced", rejoin: undefined });
    history.expectEqual(mirror);
    expect(mirror.beginJoin()).toEqual({ epoch: EPOCH, seq: 9 });
  });

  test("[D14] another epoch is another numbering", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    expect(mirror.frame({ ...history.frame(5, 5), epoch: "e2" })).toMatchObject({ next: "rejoin" });
    expect(mirror.beginJoin()).toBeUndefined();
  });

  test("[V13] the first frame of an empty project brings its epoch", () => {
    const history = historyOf(3);
    const mirror = joinedAt(history, 0);
    expect(mirror.position).toEqual({ epoch: "", seq: 0 });
    mirror.frame(history.frame(1, 2));
    expect(mirror.position).toEqual({ epoch: EPOCH, seq: 2 });
    history.expectEqual(mirror);
  });

  test("[V9] frames that come before the last page are applied after it", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 2);
    mirror.reset();
    mirror.beginJoin();
    const { sessions, tasks, ...rest } = history.snapshot(5);
    expect(mirror.joined({ ...rest, sessions, tasks: [], next_cursor: "c1" })).toEqual({ next: "page", cursor: "c1" });
    mirror.frame(history.frame(6, 7));
    history.expectEqual(mirror);
    expect(mirror.position.seq).toBe(2);
    const page = { epoch: EPOCH, seq: 5, sessions: [], tasks: tasks.slice(0, 1), next_cursor: "c2" };
    expect(mirror.page(page)).toEqual({ next: "page", cursor: "c2" });
    mirror.frame(history.frame(8, 9));
    const last = mirror.page({ epoch: EPOCH, seq: 5, sessions: [], tasks: tasks.slice(1) });
    expect(last).toMatchObject({ next: "replaced", changes: { length: 4 }, rejoin: undefined });
    history.expectEqual(mirror);
    expect(mirror.position.seq).toBe(9);
  });

  test("a hole among the frames that came with the pages is closed by another join", () => {
    const history = historyOf(9);
    const mirror = new Mirror();
    mirror.beginJoin();
    const { tasks, ...rest } = history.snapshot(5);
    mirror.joined({ ...rest, tasks: [], next_cursor: "c1" });
    mirror.frame(history.frame(7, 7));
    const last = mirror.page({ epoch: EPOCH, seq: 5, sessions: [], tasks });
    expect(last).toMatchObject({ next: "replaced", changes: [], rejoin: "changes 6 to 6 did not come" });
    history.expectEqual(mirror);
    expect(mirror.beginJoin()).toEqual({ epoch: EPOCH, seq: 5 });
  });

  test("[V2] a page of another snapshot is not mixed in", () => {
    const history = historyOf(9);
    const mirror = new Mirror();
    mirror.beginJoin();
    mirror.joined({ ...history.snapshot(5), next_cursor: "c1" });
    expect(mirror.page({ epoch: EPOCH, seq: 6, sessions: [], tasks: [] })).toMatchObject({ next: "rejoin" });
  });

  test("a replay that does not continue what is held is answered by a fresh start", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 4);
    mirror.beginJoin();
    expect(mirror.joined(history.replay(6, 9))).toMatchObject({ next: "rejoin" });
    expect(mirror.beginJoin()).toBeUndefined();
  });

  test("[F7] a patch for an entity it does not hold is told but not kept", () => {
    const history = historyOf(9);
    const mirror = joinedAt(history, 0);
    mirror.beginJoin();
    mirror.joined({ ...history.snapshot(5), tasks: [] });
    const verdict = mirror.frame(history.frame(6, 6));
    expect(verdict).toMatchObject({ next: "go on", changes: [{ before: undefined, after: undefined }] });
    expect(mirror.tasks.size).toBe(0);
    expect(mirror.position.seq).toBe(6);
  });

  test("from a given position it holds only what it has seen, and says so", () => {
    const history = historyOf(9);
    const mirror = new Mirror({ epoch: EPOCH, seq: 5 });
    expect(mirror.beginJoin()).toEqual({ epoch: EPOCH, seq: 5 });
    expect(mirror.joined(history.replay(5, 9))).toMatchObject({ next: "go on", changes: { length: 4 } });
    expect(mirror.isComplete).toBe(false);
    mirror.reset();
    mirror.beginJoin();
    mirror.joined(history.snapshot(9));
    expect(mirror.isComplete).toBe(true);
    history.expectEqual(mirror);
  });

  test("ids that are names of Object.prototype are ids like others", () => {
    const history = new History();
    for (const id of ["constructor", "toString", "hasOwnProperty"]) history.touch("session", id, "", 0);
    const mirror = joinedAt(history, 0);
    mirror.frame(history.frame(1, 3));
    expect([...mirror.sessions.keys()]).toEqual(["constructor", "toString", "hasOwnProperty"]);
  });

  test("[V3] forgets what ended more than 24 h ago, as a snapshot would", () => {
    const history = new History();
    history.touch("session", "old", "", 0);
    history.touch("task", "old", "t", 0);
    history.touch("session", "new", "", 0);
    const mirror = joinedAt(history, 3);
    const change = { kind: "session", session_id: "old", actor: { kind: "agent", id: "a" }, version: 2 } as const;
    const ended = { status: "COMPLETED", liveness: "ended", ended_at: time(4) };
    const frame = (seq: number, at: string, changes: object[]) =>
      ({
        project_id: "p",
        epoch: EPOCH,
        from_seq: seq,
        to_seq: seq,
        changes: changes.map((one) => ({ ...one, at })),
      }) as unknown as ChangesFrame;
    mirror.frame(frame(4, time(4), [{ ...change, id: "old", seq: 4, type: "ended", patch: ended }]));
    expect(mirror.sessions.get("old")?.status).toBe("COMPLETED");
    const patch = { metadata: { a: 1 } };
    const later = time(4 + 25 * 3_600);
    mirror.frame(frame(5, later, [{ ...change, id: "new", session_id: "new", seq: 5, type: "updated", patch }]));
    expect([[...mirror.sessions.keys()], mirror.tasks.size]).toEqual([["new"], 0]);
  });
});

/** What can happen to a viewer between two looks. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      count: fc.integer({ min: 1, max: 4 }),
      pick: fc.nat(1_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("deliver" as const),
      count: fc.integer({ min: 1, max: 3 }),
      conflated: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("position" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reset" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reconnect" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("answer" as const), snapshot: fc.boolean() }) },
);

test("[F5] over random histories, losses and joins the mirror equals the fold of the log at its position", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const history = new History();
      const mirror = new Mirror();
      /** The hub's side: the next seq of the present join, or undefined while none is answered. */
      let next: number | undefined;
      let since: number | undefined;
      let told = 0;
      const join = () => {
        since = mirror.beginJoin()?.seq;
        next = undefined;
      };
      const judge = (verdict: Verdict) => {
        if (verdict.next === "rejoin" || (verdict.next === "replaced" && verdict.rejoin !== undefined)) join();
        if (verdict.next === "replaced") told = mirror.position.seq;
        // No change is told twice, and none between two of them is left out (a conflated frame tells the newest).
        else if (verdict.next === "go on") {
          for (const { change } of verdict.changes) expect(change.seq).toBeGreaterThan(told);
          told = mirror.position.seq;
        }
        history.expectEqual(mirror);
      };
      const answer = (snapshot: boolean) => {
        const isReplay = !snapshot && since !== undefined;
        judge(mirror.joined(isReplay ? history.replay(since ?? 0, history.head) : history.snapshot(history.head)));
        next = history.head + 1;
      };
      join();
      for (const one of steps) {
        switch (one.do) {
          case "write":
            for (let n = 0; n < one.count; n++) {
              const pick = one.pick + n;
              history.touch(pick % 3 === 0 ? "session" : "task", `s${pick % 2}`, `t${pick % 5}`, pick % 4);
            }
            break;
          case "deliver":
          case "drop": {
            if (next === undefined || next > history.head) break;
            const to = Math.min(history.head, next + one.count - 1);
            const from = next;
            next = to + 1;
            if (one.do === "deliver")
              judge(mirror.frame(one.conflated ? history.conflatedFrame(from, to) : history.frame(from, to)));
            break;
          }
          case "position":
            if (next !== undefined)
              judge(mirror.positionTold({ project_id: "p", epoch: next === 1 ? "" : EPOCH, seq: next - 1 }));
            break;
          case "reset":
            judge(mirror.reset());
            break;
          case "reconnect":
            mirror.detach();
            join();
            break;
          case "answer":
            if (next === undefined) answer(one.snapshot);
        }
      }
      // The faults stop: one join and all frames make it whole.
      if (next === undefined || !mirror.isLive) {
        join();
        answer(false);
      } else if (next <= history.head) judge(mirror.frame(history.frame(next, history.head)));
      if (mirror.position.seq !== history.head) {
        join();
        answer(false);
      }
      expect(mirror.position.seq).toBe(history.head);
      history.expectEqual(mirror);
    }),
    { numRuns: 150 },
  );
});
