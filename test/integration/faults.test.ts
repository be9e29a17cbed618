import { afterEach, describe, expect, test } from "vitest";
import type { Entry, LogChange } from "../../server/domain/records.ts";
import type { ChangeLog } from "../../server/ports.ts";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { Stage } from "../support/test-hub.ts";
import { agent } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const OPEN = { session_id: "s", project_id: "p", machine_id: "m" };
const publish = (op: number) => ({
  session_id: "s",
  incarnation: 1,
  op,
  changes: [{ kind: "session", metadata: { op } }],
});

/** The real log with one method replaced. */
function withAppend(
  append: (real: ChangeLog, ...args: Parameters<ChangeLog["append"]>) => ReturnType<ChangeLog["append"]>,
) {
  return (real: ChangeLog): ChangeLog =>
    new Proxy(real, {
      get: (target, name) => {
        if (name === "append") return (entries: Parameters<ChangeLog["append"]>[0]) => append(target, entries);
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
}

describe("unknown outcomes", () => {
  test("[D9] [D5] an append that was committed but not answered is settled by the identical entry", async () => {
    const uri = stage.database().uri;
    let cut = 0;
    const hub = await stage.hub({
      uri,
      overrides: {
        changeLog: withAppend(async (real, entries) => {
          const outcomes = await real.append(entries);
          const isPublish = entries.some((entry) => entry.changes.some((change) => change.op !== undefined));
          if (!isPublish || cut >= 3) return outcomes;
          cut += 1;
          return entries.map(() => "unknown" as const);
        }),
      },
    });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    for (let op = 1; op <= 5; op++)
      expect(await wire.askOk("changes:publish", publish(op))).toMatchObject({ seq: op + 1 });
    expect(cut).toBe(3);
    const database = await openDatabase(stage, uri);
    const changes = (await database.entries("p")).flatMap((entry) => entry.changes);
    expect(changes.map((change) => change.seq)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("[D9] [D11] an append that got lost is sent again; meanwhile publishers hear UNAVAILABLE, and work resumes", async () => {
    const uri = stage.database().uri;
    let isAway = false;
    const sent: string[] = [];
    const hub = await stage.hub({
      uri,
      overrides: {
        bounds: { commitDeadlineMs: 300, commitSweepMs: 20 },
        changeLog: withAppend(async (real, entries) => {
          if (!isAway) return real.append(entries);
          sent.push(JSON.stringify(entries));
          return entries.map(() => "unknown" as const);
        }),
      },
    });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    isAway = true;
    const refused = await wire.ask("changes:publish", publish(1));
    expect(refused.error).toMatchObject({ code: "UNAVAILABLE", retryable: true });
    expect(new Set(sent).size).toBe(1);
    expect(await wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation: 1 }] })).toEqual({ ok: true });
    isAway = false;
    // On a busy machine an answer can take longer than this hub's deadline; an agent asks again then.
    const publishes = (op: number) =>
      eventually(`an ack of op ${op}`, async () => {
        const answer = await wire.ask("changes:publish", publish(op));
        return answer.error?.retryable === true ? undefined : answer;
      });
    expect(await publishes(1)).toMatchObject({ ok: true, seq: 2, duplicate: true });
    expect(await publishes(2)).toMatchObject({ ok: true, seq: 3 });
  });

  test("[D12] [S4] a publish that lost the race is decided again, on what is there now", async () => {
    const uri = stage.database().uri;
    let raced = false;
    const hub = await stage.hub({
      uri,
      overrides: {
        changeLog: withAppend(async (real, entries) => {
          const [entry] = entries;
          if (!raced && entry?.changes[0]?.op !== undefined) {
            raced = true;
            await real.append([endedByOther(entry)]);
          }
          return real.append(entries);
        }),
      },
    });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    const late = await wire.ask("changes:publish", publish(1));
    expect(raced).toBe(true);
    expect(late.error).toMatchObject({ code: "INVALID_TRANSITION", details: { from: "COMPLETED", allowed: [] } });
    const database = await openDatabase(stage, uri);
    expect((await database.entries("p")).map((entry) => entry.hub_id)).toEqual([hub.hubId, "other.1"]);
  });
});

/** What another hub would have put at the same place: an operator ended the session. */
function endedByOther(entry: Entry): Entry {
  const change = {
    seq: entry.from_seq,
    kind: "session",
    id: "s",
    session_id: "s",
    version: 2,
    type: "ended",
    actor: { kind: "operator", id: "x" },
    patch: { status: "COMPLETED", liveness: "ended", ended_at: entry.at },
  } as LogChange;
  return { ...entry, hub_id: "other.1", to_seq: entry.from_seq, changes: [change] };
}

describe("a crash between append and projection", () => {
  test("[D1] documents are repaired from the log when a hub starts", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const wire = await agent(stage, hub);
    const { epoch } = await wire.askOk("session:open", OPEN);
    await wire.askOk("changes:publish", publish(1));
    await hub.stop();
    const database = await openDatabase(stage, uri);
    const log = database.db.collection<{ _id: { p: string; s: number } }>("log");
    const at = new Date();
    // As a hub leaves it that is killed right after its append.
    await log.insertOne({
      _id: { p: "p", s: 3 },
      to_seq: 4,
      epoch,
      hub_id: "killed.1",
      at,
      changes: [
        {
          seq: 3,
          kind: "session",
          id: "s",
          session_id: "s",
          version: 3,
          type: "updated",
          patch: { status: "IDLE" },
          actor: { kind: "agent", id: "a" },
          incarnation: 1,
          op: 2,
        },
        {
          seq: 4,
          kind: "task",
          id: "t",
          session_id: "s",
          version: 1,
          type: "created",
          state: {
            task_id: "t",
            session_id: "s",
            project_id: "p",
            title: "t",
            status: "PENDING",
            metadata: {},
            created_at: at.toISOString(),
            updated_at: at.toISOString(),
            version: 1,
            seq: 4,
          },
          actor: { kind: "agent", id: "a" },
          incarnation: 1,
          op: 2,
        },
      ],
    } as never);
    await stage.hub({ uri });
    expect(await database.session("p", "s")).toMatchObject({
      status: "IDLE",
      version: 3,
      last_op: 2,
      last_op_seq: 4,
      applied_seq: 4,
    });
    expect(await database.tasks("p")).toMatchObject([{ task_id: "t", version: 1 }]);
    const project = await database.db.collection("projects").findOne({});
    expect(project).toMatchObject({ _id: "p", epoch, projected_seq: 4, log_start: 1 });
  });
});
