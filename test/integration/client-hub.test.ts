import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import type { AgentSession } from "../../client/agent-session.ts";
import type { AgentOptions, SessionSpec } from "../../client/agent-types.ts";
import { type FollowOptions, followProject } from "../../client/follower.ts";
import type { Task } from "../../shared/entities.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";

const database = freshDatabase();
let hub: HubProcess;
const opened: { disconnect?(): void; close?(): void }[] = [];

beforeAll(async () => {
  hub = await startHub({ mongodbUri: database.uri });
});

afterEach(() => {
  for (const one of opened.splice(0)) {
    if (one.disconnect === undefined) one.close?.();
    else one.disconnect();
  }
});

afterAll(async () => {
  await hub.stop();
  await database.drop();
});

function agent(extra: Partial<AgentOptions> = {}) {
  const connected = connectAgent({ url: hub.url, key: hub.key, ...extra });
  opened.push(connected);
  return connected;
}

/** The one session of an agent of its own. */
function sessionIn(projectId: string, sessionId: string, extra: Partial<SessionSpec> = {}): AgentSession {
  return agent().open({ sessionId, projectId, machineId: "m", ...extra });
}

function viewerOf(projectId: string, extra: Partial<FollowOptions> = {}) {
  const viewer = followProject({ url: hub.url, key: hub.key, projectId, ...extra });
  opened.push(viewer);
  return viewer;
}

async function rest<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = { "x-api-key": hub.key, "content-type": "application/json" };
  const response = await fetch(hub.url + path, { ...init, headers });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

interface SessionChange {
  readonly patch?: { readonly metadata?: { readonly count?: number } };
}

/** All changes of a session, oldest first. */
async function history(sessionId: string, projectId: string): Promise<SessionChange[]> {
  const changes: SessionChange[] = [];
  let cursor = "";
  do {
    const path = `/sessions/${sessionId}/changes?project_id=${projectId}&kind=session&limit=500${cursor}`;
    const page = await rest<{ items: SessionChange[]; next_cursor?: string }>(path);
    changes.push(...page.items);
    cursor = page.next_cursor === undefined ? "" : `&cursor=${encodeURIComponent(page.next_cursor)}`;
  } while (cursor !== "");
  return changes.reverse();
}

/** The same hub once more: same address, same key, same database. */
async function startAgain(): Promise<void> {
  hub = await startHub({ mongodbUri: database.uri, port: hub.port, key: hub.key });
}

const progress = (value: number): Edit => ({ kind: "task", task_id: "t", progress: value });

describe("SDK and hub", () => {
  test("[F5] a mirror equals the snapshot that REST shows", async () => {
    const viewer = viewerOf("mirror");
    await viewer.ready;
    const session = sessionIn("mirror", "s1");
    await session.publish([
      { kind: "task", task_id: "t", title: "Work", status: "IN_PROGRESS" },
      { kind: "session", metadata: { a: { b: 1 } } },
    ]);
    await session.publish({ kind: "session", status: "WAITING", waiting_for: { kind: "review", question: "good?" } });
    await session.publish({ kind: "task", task_id: "t", status: "COMPLETED", progress: 1 });
    const { seq } = await session.close("COMPLETED", { a: { b: null, c: [1, { d: null }] } });
    await viewer.waitFor((one) => one.position.seq >= seq, { timeoutMs: 5_000 });
    const shown = await rest<{ seq: number; sessions: object[]; tasks: object[] }>("/projects/mirror/snapshot");
    expect(viewer.position.seq).toBe(shown.seq);
    expect([...viewer.sessions.values()]).toEqual(shown.sessions);
    expect([...viewer.tasks.values()]).toEqual(shown.tasks);
    expect(viewer.task("s1", "t")).toMatchObject({ status: "COMPLETED", progress: 1 } satisfies Partial<Task>);
  });

  test("[D2] many publishes at once arrive merged, in order, each with its own answer", async () => {
    const session = sessionIn("merged", "s1");
    await session.publish({ kind: "task", task_id: "t", title: "Work", status: "IN_PROGRESS" });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => session.publish(progress(index / 200))),
    );
    const seqs = answers.map((answer) => answer.seq);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    expect(new Set(seqs).size).toBeLessThan(20);
    const { items } = await rest<{ items: Task[] }>("/sessions/s1/tasks?project_id=merged");
    expect(items[0]).toMatchObject({ progress: 199 / 200 });
  });

  test("a refused edit in the crowd concerns its caller alone", async () => {
    const session = sessionIn("refused", "s1");
    await session.ready;
    const answers = await Promise.allSettled([
      session.publish({ kind: "task", task_id: "a", title: "A" }),
      session.publish({ kind: "task", task_id: "b", title: "B" }),
      session.publish({ kind: "task", task_id: "no-title" }),
      session.publish({ kind: "task", task_id: "c", title: "C" }),
    ]);
    expect(answers.map((answer) => answer.status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
    expect((answers[2] as PromiseRejectedResult).reason).toMatchObject({ code: "VALIDATION" });
  });

  test("[D5] kill -9 of the hub in the middle: every publish is answered, and applied once", {
    timeout: 60_000,
  }, async () => {
    const viewer = viewerOf("killed");
    const session = sessionIn("killed", "s1");
    await Promise.all([
      viewer.ready,
      session.publish({ kind: "task", task_id: "t", title: "W", status: "IN_PROGRESS" }),
    ]);
    let isRunning = true;
    let count = 0;
    const answers: Promise<{ seq: number }>[] = [];
    const load = (async () => {
      while (isRunning) {
        count += 1;
        const answer = session.publish({ kind: "session", metadata: { count } }, { alone: true });
        answers.push(answer);
        await answer;
      }
    })();
    // Awaited at the end; a failure before that must not count as unhandled.
    load.catch(() => {});
    for (let kills = 0; kills < 3; kills++) {
      const reached = count + 20;
      await eventually("progress", () => count > reached);
      await hub.kill("SIGKILL");
      await startAgain();
    }
    isRunning = false;
    await load;
    await session.close();
    const seqs = (await Promise.all(answers)).map((answer) => answer.seq);
    expect(new Set(seqs).size).toBe(count);
    const counts = (await history("s1", "killed")).flatMap((change) => change.patch?.metadata?.count ?? []);
    expect(counts).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    await viewer.waitFor((one) => one.sessions.get("s1")?.status === "COMPLETED", { timeoutMs: 15_000 });
    expect(viewer.sessions.get("s1")?.metadata).toEqual({ count });
  });

  test("an agent and a viewer that start before the hub get there when it comes", { timeout: 30_000 }, async () => {
    await hub.kill("SIGTERM");
    const viewer = viewerOf("early");
    const early = agent();
    const session = early.open({ sessionId: "s1", projectId: "early" });
    const first = session.publish({ kind: "session", metadata: { early: true } });
    await eventually("a failed attempt", () => early.state.name === "waiting");
    await startAgain();
    expect(await first).toMatchObject({ results: [{ changed: true }] });
    await viewer.waitFor((one) => one.sessions.get("s1")?.metadata.early === true, { timeoutMs: 10_000 });
  });

  test("[N2] a newer owner fences the older one, which stays away", async () => {
    const older = sessionIn("owners", "s1");
    await older.ready;
    const fenced = new Promise((resolve) => older.once("fenced", resolve));
    const other = sessionIn("owners", "s1");
    await expect(other.ready).rejects.toMatchObject({ code: "ALREADY_OWNED" });
    const newer = sessionIn("owners", "s1", { takeover: true });
    await newer.ready;
    expect(await fenced).toEqual({ session_id: "s1", incarnation: 1, reason: "taken" });
    await expect(older.publish(progress(0.5))).rejects.toMatchObject({ code: "FENCED" });
    expect(older.state).toMatchObject({ name: "over", why: "fenced" });
  });

  test("[N4] an operator's change is told, and an operator's end is the end", async () => {
    const session = sessionIn("operated", "s1");
    await session.ready;
    const changed = new Promise((resolve) => session.once("changed", resolve));
    const path = "/sessions/s1?project_id=operated";
    await rest(path, { method: "PATCH", body: JSON.stringify({ metadata: { priority: "high" } }) });
    expect(await changed).toMatchObject({ patch: { metadata: { priority: "high" } }, actor: { kind: "operator" } });
    const fenced = new Promise((resolve) => session.once("fenced", resolve));
    await rest(path, { method: "PATCH", body: JSON.stringify({ status: "CANCELLED" }) });
    expect(await fenced).toMatchObject({ reason: "ended" });
    await expect(session.publish(progress(0.5))).rejects.toMatchObject({ code: "FENCED" });
  });

  test("[F12] heartbeats reach viewers that asked for them", async () => {
    await hub.stop();
    hub = await startHub({
      mongodbUri: database.uri,
      port: hub.port,
      key: hub.key,
      env: { HEARTBEAT_INTERVAL_MS: "200" },
    });
    const viewer = viewerOf("beats", { heartbeats: true });
    const session = sessionIn("beats", "s1");
    session.beat({ progress: 0.25, activity: "thinking", metrics: { tokens: 12 } });
    const said = { progress: 0.25, activity: "thinking", metrics: { tokens: 12 } };
    await viewer.waitFor((one) => one.beats.get("s1")?.activity === "thinking", { timeoutMs: 10_000 });
    expect(viewer.beats.get("s1")).toMatchObject(said);
  });

  test("[V6] a project of more than a page comes whole", async () => {
    const session = sessionIn("large", "s1");
    const batches = Array.from({ length: 12 }, (_, batch) =>
      Array.from({ length: 100 }, (_, n): Edit => ({ kind: "task", task_id: `t${batch}-${n}`, title: "T" })),
    );
    for (const edits of batches) await session.publish(edits);
    const viewer = viewerOf("large");
    await viewer.ready;
    expect([viewer.sessions.size, viewer.tasks.size]).toEqual([1, 1_200]);
  });

  test("[K2] a key that the hub does not take is final and clear", async () => {
    const session = agent({ key: "wrong" }).open({ sessionId: "s1" });
    await expect(session.ready).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const viewer = viewerOf("keys", { key: "wrong" });
    await expect(viewer.ready).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });
});
