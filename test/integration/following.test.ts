import { afterEach, describe, expect, test } from "vitest";
import { applyChange } from "../../shared/apply-change.ts";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

async function openSession(wire: Wire, sessionId = "s1", projectId = "p") {
  await wire.askOk("session:open", { session_id: sessionId, project_id: projectId, machine_id: "m" });
  let op = 0;
  return (...changes: readonly object[]) => {
    op += 1;
    return wire.askOk("changes:publish", { session_id: sessionId, incarnation: 1, op, changes });
  };
}

const step = (n: number) => ({ kind: "session", metadata: { n } });

/** The entities of a project after an answer and the frames that followed it. */
function mirrorOf(joined: Json, frames: readonly Json[]): Map<string, Json> {
  const mirror = new Map<string, Json>();
  for (const session of joined.sessions ?? []) mirror.set(session.session_id, session);
  for (const task of joined.tasks ?? []) mirror.set(`${task.session_id}/${task.task_id}`, task);
  for (const change of [...(joined.changes ?? []), ...frames.flatMap((frame) => frame.changes)]) {
    const key = change.kind === "task" ? `${change.session_id}/${change.id}` : change.id;
    const after = applyChange(mirror.get(key), change);
    if (after !== undefined) mirror.set(key, after);
  }
  return mirror;
}

describe("joining", () => {
  test("[V13] a project without changes is empty, creates nothing, and its first frame brings the epoch", async () => {
    const hub = await stage.hub();
    const seen = await viewer(stage, hub);
    const joined = await seen.askOk("project:join", { project_id: "p" });
    expect(joined).toEqual({ ok: true, mode: "snapshot", reason: "first", epoch: "", seq: 0, sessions: [], tasks: [] });
    const { epoch } = await (await agent(stage, hub)).askOk("session:open", {
      session_id: "s",
      project_id: "p",
      machine_id: "m",
    });
    const [frame] = await seen.hears("changes");
    expect(frame).toMatchObject({ project_id: "p", epoch, from_seq: 1, to_seq: 1 });
    expect(frame.changes[0]).toMatchObject({ type: "created", version: 1, state: { session_id: "s", version: 1 } });
  });

  test("[V2] [V4] [V14] [F1] [F5] snapshot and frames without a hole give what REST shows", async () => {
    const hub = await stage.hub();
    const publish = await openSession(await agent(stage, hub));
    for (let n = 0; n < 10; n++) await publish(step(n), { kind: "task", task_id: `t${n}`, title: "t" });
    const seen = await viewer(stage, hub);
    const joined = await seen.askOk("project:join", { project_id: "p" });
    expect(joined).toMatchObject({ mode: "snapshot", reason: "first", seq: 21 });
    await publish({ kind: "session", status: "WAITING", waiting_for: { kind: "review", question: "ok?" } });
    await publish({ kind: "session", status: "ACTIVE" }, { kind: "task", task_id: "t3", status: "IN_PROGRESS" });
    const frames = await seen.hears("changes", 2);
    expect(frames.map((frame) => [frame.from_seq, frame.to_seq])).toEqual([
      [22, 22],
      [23, 24],
    ]);
    const fresh = await (await viewer(stage, hub)).askOk("project:join", { project_id: "p" });
    expect(mirrorOf(joined, frames)).toEqual(mirrorOf(fresh, []));
    expect(fresh.sessions[0].waiting_for).toBeUndefined();
  });

  test("[V10] [V11] [V12] a replay continues from any seq, also inside an entry, and may be empty", async () => {
    const hub = await stage.hub();
    const publish = await openSession(await agent(stage, hub));
    const { epoch } = await publish(
      step(1),
      { kind: "task", task_id: "a", title: "a" },
      { kind: "task", task_id: "b", title: "b" },
    );
    const seen = await viewer(stage, hub);
    const joined = await seen.askOk("project:join", { project_id: "p", since: { epoch, seq: 2 } });
    expect(joined).toMatchObject({ mode: "replay", from_seq: 3, seq: 4 });
    expect(joined.changes.map((change: Json) => [change.seq, change.id])).toEqual([
      [3, "a"],
      [4, "b"],
    ]);
    const nothing = await seen.askOk("project:join", { project_id: "p", since: { epoch, seq: 4 } });
    expect(nothing).toEqual({ ok: true, mode: "replay", epoch, from_seq: 5, seq: 4, changes: [] });
  });

  test("[V10] a replay that reaches back before what the hub has in memory comes from the log", async () => {
    const hub = await stage.hub({ overrides: { bounds: { recentChanges: 3 } } });
    const publish = await openSession(await agent(stage, hub));
    let epoch = "";
    for (let n = 1; n <= 20; n++) epoch = (await publish(step(n))).epoch;
    const seen = await viewer(stage, hub);
    const joined = await seen.askOk("project:join", { project_id: "p", since: { epoch, seq: 5 } });
    expect(joined.changes.map((change: Json) => change.seq)).toEqual(Array.from({ length: 16 }, (_, n) => n + 6));
  });

  test("[V5] the reason of a snapshot: another epoch, ahead of the log, too far", async () => {
    const hub = await stage.hub({ overrides: { limits: { replay_changes: 5 } } });
    const publish = await openSession(await agent(stage, hub));
    let epoch = "";
    for (let n = 1; n <= 9; n++) epoch = (await publish(step(n))).epoch;
    const seen = await viewer(stage, hub);
    const reason = async (since: object) => (await seen.askOk("project:join", { project_id: "p", since })).reason;
    expect(await reason({ epoch: "0000000000000000", seq: 3 })).toBe("epoch");
    expect(await reason({ epoch, seq: 11 })).toBe("epoch");
    expect(await reason({ epoch, seq: 4 })).toBe("too_far");
  });

  test("[V6] [V7] [V8] large snapshots come in pages at one seq", async () => {
    const hub = await stage.hub({ overrides: { limits: { snapshot_page: 4 } } });
    const wire = await agent(stage, hub);
    for (const id of ["a", "b", "c"]) {
      const publish = await openSession(wire, id);
      await publish({ kind: "task", task_id: "1", title: "1" }, { kind: "task", task_id: "2", title: "2" });
    }
    const seen = await viewer(stage, hub);
    const keys: string[] = [];
    let page = await seen.askOk("project:join", { project_id: "p" });
    const { seq } = page;
    for (;;) {
      keys.push(...page.sessions.map((session: Json) => session.session_id));
      keys.push(...page.tasks.map((task: Json) => `${task.session_id}/${task.task_id}`));
      if (page.next_cursor === undefined) break;
      page = await seen.askOk("project:snapshot", { project_id: "p", cursor: page.next_cursor });
      expect(page.seq).toBe(seq);
    }
    expect(keys.sort()).toEqual(["a", "a/1", "a/2", "b", "b/1", "b/2", "c", "c/1", "c/2"]);
    const malformed = await seen.ask("project:snapshot", { project_id: "p", cursor: "nonsense" });
    expect(malformed.error.code).toBe("VALIDATION");
    const gone = await seen.ask("project:snapshot", { project_id: "p", cursor: "0123456789abcdef.4" });
    expect(gone.error.code).toBe("GONE");
  });

  test("[V16] [V17] joining again begins anew, leaving ends the frames", async () => {
    const hub = await stage.hub();
    const publish = await openSession(await agent(stage, hub));
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "p" });
    await seen.askOk("project:join", { project_id: "p" });
    await publish(step(1));
    expect(await seen.hears("changes")).toHaveLength(1);
    expect(await seen.askOk("project:leave", { project_id: "p" })).toEqual({ ok: true });
    await publish(step(2));
    await seen.askOk("project:leave", { project_id: "p" });
    expect(seen.messages("changes")).toHaveLength(1);
  });

  test("[V18] rooms of a connection are limited", async () => {
    const hub = await stage.hub({ overrides: { limits: { rooms_per_connection: 1 } } });
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "p" });
    expect((await seen.ask("project:join", { project_id: "q" })).error.code).toBe("LIMIT_EXCEEDED");
    await seen.askOk("project:join", { project_id: "p" });
  });

  test("[F1] [V14] joins at random moments under load never miss or repeat a change", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    let running = true;
    const writers = ["a", "b", "c", "d"].map(async (id) => {
      const publish = await openSession(wire, id);
      for (let n = 0; running; n++) await publish(step(n), { kind: "task", task_id: `t${n % 7}`, title: `${n}` });
    });
    const joins = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const seen = await viewer(stage, hub);
        const first = await seen.askOk("project:join", { project_id: "p" });
        if (index % 2 === 0) return { seen, joined: first };
        const since = { epoch: first.epoch, seq: Math.max(0, first.seq - 10) };
        seen.heard.length = 0;
        return { seen, joined: await seen.askOk("project:join", { project_id: "p", since }) };
      }),
    );
    await Promise.all(joins.map(({ seen }) => seen.hears("changes", 20)));
    running = false;
    await Promise.all(writers);
    const end = await (await viewer(stage, hub)).askOk("project:join", { project_id: "p" });
    for (const { seen, joined } of joins) {
      const after = (frame: Json) => frame.from_seq > joined.seq;
      await eventually("the last frame", () => seen.messages("changes").at(-1)?.to_seq === end.seq);
      let seq = joined.seq;
      for (const frame of seen.messages("changes").filter(after)) {
        expect(frame.from_seq).toBe(seq + 1);
        seq = frame.to_seq;
      }
      expect(seq).toBe(end.seq);
      if (joined.mode === "snapshot") {
        expect(mirrorOf(joined, seen.messages("changes").filter(after))).toEqual(mirrorOf(end, []));
      }
    }
  });
});

describe("beside the changes", () => {
  test("[F11] position comes when nothing else does", async () => {
    const hub = await stage.hub({ overrides: { bounds: { positionEveryMs: 250 } } });
    const publish = await openSession(await agent(stage, hub));
    const { epoch } = await publish(step(1));
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "p" });
    expect((await seen.hears("position"))[0]).toEqual({ project_id: "p", epoch, seq: 2 });
  });

  test("[B7] [B8] [F12] [F13] heartbeats reach the viewers that asked, and take no seq", async () => {
    const hub = await stage.hub({ overrides: { bounds: { heartbeatFrameMs: 50 } } });
    const wire = await agent(stage, hub);
    await openSession(wire);
    const curious = await viewer(stage, hub);
    const other = await viewer(stage, hub);
    await curious.askOk("project:join", { project_id: "p", heartbeats: true });
    await other.askOk("project:join", { project_id: "p" });
    const beat = { session_id: "s1", incarnation: 1, progress: 0.5, activity: "compiling", metrics: { cpu: 1 } };
    expect(await wire.askOk("heartbeat", { sessions: [beat] })).toEqual({ ok: true });
    const frame = await eventually("the activity", () =>
      curious.messages("heartbeats").find((message) => message.sessions.s1?.activity === "compiling"),
    );
    expect(frame).toMatchObject({ project_id: "p", sessions: { s1: { progress: 0.5, metrics: { cpu: 1 } } } });
    expect(other.messages("heartbeats")).toEqual([]);
    expect(curious.messages("changes")).toEqual([]);
  });

  test("[N4] [N5] the owner hears what others do to its session", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await openSession(wire);
    const patch = (body: object) =>
      fetch(`${hub.url}/sessions/s1`, {
        method: "PATCH",
        headers: { "x-api-key": hub.key, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    expect((await patch({ metadata: { note: "hi" } })).status).toBe(200);
    expect(await wire.hears("session")).toMatchObject([
      { session_id: "s1", version: 2, patch: { metadata: { note: "hi" } }, actor: { kind: "operator" } },
    ]);
    expect((await patch({ status: "CANCELLED" })).status).toBe(200);
    await wire.hears("fenced");
    expect(wire.heard.slice(-2).map(({ event, message }) => [event, message.reason ?? message.patch.status])).toEqual([
      ["session", "CANCELLED"],
      ["fenced", "ended"],
    ]);
  });
});
