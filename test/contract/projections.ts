import { beforeEach, describe, expect, test } from "vitest";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import type { SessionRecord, TaskRecord } from "../../server/domain/records.ts";
import type { Projections } from "../../server/ports.ts";
import type { Session, Task } from "../../shared/entities.ts";
import { atSecond, sampleSession } from "../support/entries.ts";

function session(over: Partial<Session> & { version?: number } = {}, appliedSeq = over.seq ?? 1): SessionRecord {
  const entity = sampleSession({ metadata: { list: [null, 1], deep: { a: "ü" } }, ...over });
  return { entity, appliedSeq, lastOp: 3, lastOpSeq: 1, editVersion: entity.version };
}

function task(over: Partial<Task> = {}): TaskRecord {
  const entity: Task = {
    task_id: "t",
    session_id: "s",
    project_id: "p",
    title: "one",
    status: "PENDING",
    metadata: {},
    created_at: atSecond(0),
    updated_at: atSecond(0),
    version: 1,
    seq: 2,
    ...over,
  };
  return { entity, appliedSeq: entity.seq, editVersion: entity.version };
}

/** What all Projections do. `fresh` makes an empty one. */
export function projectionsContract(name: string, fresh: () => Promise<Projections>): void {
  describe(`projections in ${name}`, () => {
    let projections: Projections;
    beforeEach(async () => {
      projections = await fresh();
    });

    const read = async (sessionId = "s", projectId = "p") => {
      await projections.settle();
      return (await projections.readFamilies(projectId, [sessionId])).get(sessionId);
    };

    test("records come back field for field, hidden fields too", async () => {
      const ended = session(
        { status: "FAILED", liveness: "ended", ended_at: atSecond(9), lost_at: atSecond(8), seq: 4 },
        6,
      );
      const done = task({ status: "COMPLETED", progress: 0.5, ended_at: atSecond(7), seq: 5 });
      await projections.write({ sessions: [ended], tasks: [done] });
      const family = await read();
      expect(family?.session).toEqual(ended);
      expect([...(family?.tasks ?? [])]).toEqual([["t", done]]);
    });

    test("[D4] a document is never replaced by an older one, nor by the same again", async () => {
      await projections.write({ sessions: [session({ version: 3, seq: 5 })], tasks: [task({ version: 3, seq: 5 })] });
      await projections.write({ sessions: [session({ version: 2, seq: 4 })], tasks: [task({ version: 2, seq: 4 })] });
      expect(await read()).toMatchObject({ session: { appliedSeq: 5 } });
      await projections.write({ sessions: [session({ version: 9, seq: 5 })], tasks: [] });
      const family = await read();
      expect(family?.session?.entity.version).toBe(3);
      expect(family?.task("t")?.entity.version).toBe(3);
    });

    test("a field that went is gone from the document", async () => {
      await projections.write({ sessions: [session({ agent_id: "a", lost_at: atSecond(1) })], tasks: [] });
      await projections.write({ sessions: [session({ version: 2, seq: 2 })], tasks: [] });
      expect((await read())?.session).toEqual(session({ version: 2, seq: 2 }));
    });

    test("many writers at once leave the newest", async () => {
      const versions = Array.from({ length: 20 }, (_, index) => session({ version: index + 1, seq: index + 1 }));
      await Promise.all(versions.map((record) => projections.write({ sessions: [record], tasks: [] })));
      expect((await read())?.session?.entity.version).toBe(20);
    });

    test("a family has its own tasks only, and a missing one is empty", async () => {
      await projections.write({
        sessions: [session(), session({ session_id: "s0" }), session({ session_id: "s-1" })],
        tasks: [task(), task({ session_id: "s0" }), task({ session_id: "s-1", task_id: "u" }), task({ task_id: "v" })],
      });
      await projections.settle();
      const families = await projections.readFamilies("p", ["s", "s-1", "none"]);
      expect([...families.keys()].toSorted()).toEqual(["none", "s", "s-1"]);
      expect([...(families.get("s")?.tasks.keys() ?? [])].toSorted()).toEqual(["t", "v"]);
      expect([...(families.get("s-1")?.tasks.keys() ?? [])]).toEqual(["u"]);
      expect(families.get("none")).toMatchObject({ session: undefined, taskCount: 0 });
      expect((await read("s", "other"))?.session).toBeUndefined();
    });

    test("marks begin at 0, are made once and rise contiguously only", async () => {
      expect(await projections.readMark("p")).toBeUndefined();
      expect(await projections.raiseMarks([{ projectId: "p", from: 1, to: 2 }])).toEqual(new Map());
      await projections.createMark("p", { epoch: "e", logStart: 1 }, atSecond(0));
      await projections.raiseLogStart("p", 9);
      await projections.raiseLogStart("p", 4);
      expect((await projections.readMark("p"))?.logStart).toBe(9);
      await projections.createMark("p", { epoch: "other", logStart: 1 }, atSecond(1));
      expect(await projections.readMark("p")).toEqual({ epoch: "e", projectedSeq: 0, logStart: 9, forgottenSeq: 0 });
      await projections.raiseForgotten("p", 5);
      await projections.raiseForgotten("p", 3);
      expect((await projections.readMark("p"))?.forgottenSeq).toBe(5);
      const raise = async (from: number, to: number) =>
        (await projections.raiseMarks([{ projectId: "p", from, to }])).get("p");
      expect(await raise(2, 3)).toBe(0);
      expect(await raise(1, 3)).toBe(3);
      expect(await raise(2, 2)).toBe(3);
      expect(await raise(3, 7)).toBe(7);
      expect(await raise(9, 9)).toBe(7);
      expect(await projections.readProjectedSeqs(["p", "q"])).toEqual(new Map([["p", 7]]));
    });

    test("[D27] where a session was removed nothing older is written any more, and what is newer is", async () => {
      const removal = { project_id: "p", session_id: "s", task_ids: ["t", "late"], seq: 5 };
      await projections.write({
        sessions: [session({ seq: 4, version: 4 })],
        tasks: [task(), task({ task_id: "late" })],
      });
      await projections.write({ sessions: [], tasks: [], removals: [removal] });
      await projections.write({
        sessions: [session({ seq: 4, version: 4 })],
        tasks: [task(), task({ task_id: "late" })],
      });
      await projections.settle();
      const gone = (await projections.readFamilies("p", ["s"])).get("s");
      expect(gone).toMatchObject({ session: undefined, taskCount: 0, removed: { seq: 5 } });
      expect(await projections.findSessionsById("s", ProjectScope.all)).toEqual([]);
      expect(await projections.readWindow("p", atSecond(0))).toEqual({ sessions: [], tasks: [] });
      const anew = session({ seq: 6, version: 1 });
      await projections.write({ sessions: [anew], tasks: [task({ seq: 7 })] });
      await projections.write({ sessions: [], tasks: [], removals: [removal] });
      await projections.settle();
      const again = (await projections.readFamilies("p", ["s"])).get("s");
      expect(again).toMatchObject({ session: anew, taskCount: 1 });
    });

    test("ids of sessions: all that were there, in their order, and those that ended", async () => {
      const final = { status: "COMPLETED", liveness: "ended" } as const;
      await projections.write({
        sessions: [
          session({ session_id: "b", ...final, ended_at: atSecond(9) }),
          session({ session_id: "a", ...final, ended_at: atSecond(1) }),
          session({ session_id: "c", created_at: atSecond(5) }),
          session({ session_id: "d" }),
          session({ session_id: "a", project_id: "p.1", ...final, ended_at: atSecond(1) }),
        ],
        tasks: [],
      });
      await projections.settle();
      const all = { createdBefore: atSecond(4), after: undefined };
      expect(await projections.findSessionIds("p", all, 2)).toEqual(["a", "b"]);
      expect(await projections.findSessionIds("p", { ...all, after: "b" }, 2)).toEqual(["d"]);
      expect(await projections.findEndedSessionIds("p", atSecond(9), 5)).toEqual(["a"]);
    });

    test("the window shows what is not final or ended since, and tasks of shown sessions only", async () => {
      const final = { status: "COMPLETED", liveness: "ended" } as const;
      await projections.write({
        sessions: [
          session({ session_id: "live" }),
          session({ session_id: "recent", ...final, ended_at: atSecond(100) }),
          session({ session_id: "old", ...final, ended_at: atSecond(99) }),
          session({ session_id: "live", project_id: "q" }),
        ],
        tasks: [
          task({ session_id: "live", task_id: "open" }),
          task({ session_id: "live", task_id: "done", status: "FAILED", ended_at: atSecond(99) }),
          task({ session_id: "recent", task_id: "just", status: "COMPLETED", ended_at: atSecond(100) }),
          task({ session_id: "old", task_id: "open" }),
        ],
      });
      await projections.settle();
      const { sessions, tasks } = await projections.readWindow("p", atSecond(100));
      expect(sessions.map(({ entity }) => entity.session_id).toSorted()).toEqual(["live", "recent"]);
      expect(tasks.map(({ entity }) => entity.task_id).toSorted()).toEqual(["just", "open"]);
      expect(tasks.every(({ entity }) => entity.session_id !== "old")).toBe(true);
    });

    test("a bare session_id is found in all projects, newest first", async () => {
      await projections.write({
        sessions: [
          session({ project_id: "p", created_at: atSecond(1), incarnation: 1 }),
          session({ project_id: "q", created_at: atSecond(2), incarnation: 4 }),
          session({ session_id: "other" }),
        ],
        tasks: [],
      });
      expect(await projections.findSessionsById("s", ProjectScope.all)).toEqual([
        { projectId: "q", incarnation: 4 },
        { projectId: "p", incarnation: 1 },
      ]);
      expect(await projections.findSessionsById("none", ProjectScope.all)).toEqual([]);
    });

    test("[K8] a bare session_id is found in the projects of a key alone", async () => {
      const projectIds = ["acme", "acme-", "acme-1", "acme-2", "acme.1", "acmeco", "other"];
      await projections.write({
        sessions: projectIds.map((project_id, index) => session({ project_id, created_at: atSecond(index) })),
        tasks: [],
      });
      const find = async (...patterns: string[]) =>
        (await projections.findSessionsById("s", new ProjectScope(patterns))).map(({ projectId }) => projectId);
      expect(await find("acme-*")).toEqual(["acme-2", "acme-1", "acme-"]);
      expect(await find("acme", "other")).toEqual(["other", "acme"]);
      expect(await find("acme", "acme.*")).toEqual(["acme.1", "acme"]);
      expect(await find("nobody")).toEqual([]);
      expect(await find()).toEqual([]);
    });
  });
}
