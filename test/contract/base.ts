import { beforeEach, describe, expect, test } from "vitest";
import type { SessionRecord, TaskRecord } from "../../server/domain/records.ts";
import type { Base } from "../../server/ports.ts";
import type { Task } from "../../shared/entities.ts";
import { atSecond, sampleSession } from "../support/entries.ts";

function session(session_id: string, project_id: string, version: number): SessionRecord {
  const entity = sampleSession({ session_id, project_id, version, seq: version });
  return { entity, appliedSeq: version, lastOp: 0, lastOpSeq: 0, editVersion: version };
}

function task(session_id: string, project_id: string, task_id = "t"): TaskRecord {
  const at = atSecond(0);
  const times = { created_at: at, updated_at: at };
  const entity: Task = {
    ...{ task_id, session_id, project_id, title: "one", status: "PENDING", metadata: {}, version: 1, seq: 1 },
    ...times,
  };
  return { entity, appliedSeq: 1, editVersion: 1 };
}

/** What every Base does. `fresh` makes an empty one. */
export function baseContract(name: string, fresh: () => Promise<Base>): void {
  describe(`base in ${name}`, () => {
    let base: Base;
    beforeEach(async () => {
      base = await fresh();
    });

    test("families come back with their tasks, those that are not there empty", async () => {
      const [s, other] = [session("s", "p", 3), session("s.1", "p", 1)];
      const tasks = [task("s", "p"), task("s", "p", "u"), task("s.1", "p"), task("s", "p.1")];
      await base.write({ sessions: [s, other], tasks });
      const families = await base.readFamilies("p", ["s", "none"]);
      expect(families.get("s")?.session).toEqual(s);
      expect([...(families.get("s")?.tasks.values() ?? [])]).toEqual(tasks.slice(0, 2));
      expect(families.get("none")).toMatchObject({ session: undefined });
      expect(await base.readFamilies("p", [])).toEqual(new Map());
    });

    test("[D24] nothing is replaced by what is older", async () => {
      await base.write({ sessions: [session("s", "p", 3)], tasks: [] });
      await base.write({ sessions: [session("s", "p", 2)], tasks: [] });
      expect((await base.readFamilies("p", ["s"])).get("s")?.session?.appliedSeq).toBe(3);
    });

    test("[D27] what was removed is neither read nor replaced by what is older", async () => {
      await base.write({ sessions: [session("s", "p", 3)], tasks: [task("s", "p")] });
      const removals = [{ project_id: "p", session_id: "s", task_ids: ["t"], seq: 9 }];
      await base.write({ sessions: [], tasks: [], removals });
      await base.write({ sessions: [session("s", "p", 4)], tasks: [task("s", "p")] });
      const family = (await base.readFamilies("p", ["s"])).get("s");
      expect(family).toMatchObject({ session: undefined, taskCount: 0, removed: { seq: 9 } });
      for await (const { sessions, tasks } of base.readAll("p")) expect([...sessions, ...tasks]).toEqual([]);
    });

    test("all of a project is read, and nothing of others whose names begin alike", async () => {
      await base.write({
        sessions: [session("a", "p", 1), session("b", "p", 1), session("c", "p.1", 1)],
        tasks: [task("a", "p"), task("c", "p.1"), task("c", "p-1")],
      });
      const found: string[] = [];
      for await (const { sessions, tasks } of base.readAll("p")) {
        found.push(...sessions.map(({ entity }) => entity.session_id), ...tasks.map(({ entity }) => entity.task_id));
      }
      expect(found.toSorted()).toEqual(["a", "b", "t"]);
    });
  });
}
