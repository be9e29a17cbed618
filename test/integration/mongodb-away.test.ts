import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { OwnMongod } from "../support/own-mongod.ts";
import { type RestAnswer, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const lasting = new Stage();
const stage = new Stage();
let mongod: OwnMongod;

beforeAll(async () => {
  mongod = await OwnMongod.start(lasting);
});
afterEach(async () => {
  mongod.thaw();
  await stage.clear();
});
afterAll(lasting.clear);

const faults = [
  { what: "silent (SIGSTOP)", begin: () => mongod.freeze(), heal: () => mongod.thaw() },
  { what: "killed (kill -9)", begin: () => mongod.kill(), heal: () => mongod.restart() },
];

/** The 5 s that are promised, and what two busy processes on a small machine may add. */
const WITHIN_MS = 5_500;

/** The answer, and how long it took. */
async function timed<T>(answer: Promise<T>): Promise<{ readonly answer: T; readonly ms: number }> {
  const started = performance.now();
  return { answer: await answer, ms: performance.now() - started };
}

const publish = (op: number) => ({
  session_id: "s",
  incarnation: 1,
  op,
  changes: [
    { kind: "session", metadata: { op } },
    { kind: "task", task_id: `t${op}`, title: "t" },
  ],
});

describe.each(faults)("with MongoDB $what", ({ begin, heal, what }) => {
  test("[D11] [B9] [R6] [R7] requests hear UNAVAILABLE within 5 s, connections and heartbeats stay, work resumes by itself", async () => {
    const uri = mongod.uri(`away_${faults.findIndex((fault) => fault.what === what)}`);
    const hub = await stage.hub({ uri });
    const worker = await agent(stage, hub, "worker");
    await worker.askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
    for (let op = 1; op <= 3; op++) await worker.askOk("changes:publish", publish(op));
    const stranger = await agent(stage, hub, "stranger");
    const follower = await viewer(stage, hub);
    const joined = await follower.askOk("project:join", { project_id: "p" });

    await begin();
    const beat = async () => {
      const beaten = await timed(worker.ask("heartbeat", { sessions: [{ session_id: "s", incarnation: 1 }] }));
      expect(beaten.answer).toEqual({ ok: true });
      expect(beaten.ms).toBeLessThan(1_000);
    };
    await beat();
    const sockets = {
      publish: worker.ask("changes:publish", publish(4)),
      "publish elsewhere": stranger.ask("changes:publish", { ...publish(9), session_id: "elsewhere" }),
      "open here": stranger.ask("session:open", { session_id: "new", project_id: "p", machine_id: "m" }),
      "open in another project": stranger.ask("session:open", { session_id: "o", project_id: "q", machine_id: "m" }),
      "join of another project": follower.ask("project:join", { project_id: "q" }),
    };
    await expectUnavailable(sockets, (answer: Json) => answer.error?.code);
    await beat();
    // The very same op again, while the first is still under way inside the hub.
    await Promise.all([
      expectRestAway(hub),
      expectUnavailable({ again: worker.ask("changes:publish", publish(4)) }, (answer: Json) => answer.error?.code),
    ]);
    await beat();
    expect([worker, stranger, follower].map((wire) => wire.socket.connected)).toEqual([true, true, true]);

    await heal();
    const settled = await eventually("op 4 is answered", async () => {
      const answer = await worker.ask("changes:publish", publish(4));
      return answer.ok === true ? answer : undefined;
    });
    expect((await worker.askOk("changes:publish", publish(4))).duplicate).toBe(true);
    expect((await worker.askOk("changes:publish", publish(4))).seq).toBe(settled.seq);
    await worker.askOk("changes:publish", publish(5));
    await eventually("the hub is ready", async () => (await rest(hub, "GET /health/ready")).status === 200);
    expect((await rest(hub, "GET /sessions/s?project_id=p")).body).toMatchObject({
      metadata: { op: 5 },
      incarnation: 1,
    });
    await stranger.askOk("session:open", { session_id: "new2", project_id: "p", machine_id: "m" });
    await follower.askOk("project:join", { project_id: "q" });
    await expectWhole(uri, joined, follower);
    for (const wire of [worker, stranger, follower]) {
      expect(wire.socket.connected).toBe(true);
      expect(wire.messages("closing")).toEqual([]);
    }

    /** Nothing acked is lost, nothing is there twice, and the viewer missed nothing. */
    async function expectWhole(uri: string, from: Json, seen: typeof follower): Promise<void> {
      const log = await openDatabase(stage, uri);
      const entries = await log.entries("p");
      const changes = entries.flatMap((entry) => entry.changes);
      expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, index) => index + 1));
      const ops = changes.filter(
        ({ kind, session_id, op }) => kind === "session" && session_id === "s" && op !== undefined,
      );
      expect(ops.map(({ op }) => op)).toEqual([1, 2, 3, 4, 5]);
      const head = changes.length;
      await eventually("the viewer has the last change", () => seen.messages("changes").at(-1)?.to_seq === head);
      const frames = seen.messages("changes").filter((frame) => frame.project_id === "p");
      const seqs = frames.flatMap((frame) => frame.changes.map((change: Json) => change.seq));
      expect(seqs).toEqual(Array.from({ length: head - from.seq }, (_, index) => from.seq + 1 + index));
      expect(seen.messages("project:reset")).toEqual([]);
    }
  });
});

async function expectUnavailable<T>(
  requests: Readonly<Record<string, Promise<T>>>,
  codeOf: (answer: T) => unknown,
): Promise<void> {
  await Promise.all(
    Object.entries(requests).map(async ([what, request]) => {
      const { answer, ms } = await timed(request);
      expect(codeOf(answer), `${what}: ${JSON.stringify(answer)}`).toBe("UNAVAILABLE");
      expect(ms, what).toBeLessThan(WITHIN_MS);
    }),
  );
}

async function expectRestAway(hub: TestHub): Promise<void> {
  expect((await timed(rest(hub, "GET /health"))).answer.status).toBe(200);
  const ready = await timed(rest(hub, "GET /health/ready"));
  expect(ready.answer.status).toBe(503);
  expect(ready.ms).toBeLessThan(WITHIN_MS);
  const requests = {
    list: rest(hub, "GET /sessions"),
    get: rest(hub, "GET /sessions/s?project_id=p"),
    "bare id": rest(hub, "GET /sessions/s"),
    tasks: rest(hub, "GET /tasks"),
    history: rest(hub, "GET /sessions/s/changes?project_id=p"),
    snapshot: rest(hub, "GET /projects/q/snapshot"),
    post: rest(hub, "POST /sessions", { body: { session_id: "r", project_id: "p", machine_id: "m" } }),
    patch: rest(hub, "PATCH /sessions/s?project_id=p", { body: { metadata: { x: 1 } } }),
  };
  await expectUnavailable<RestAnswer>(requests, ({ status, body }) => (status === 503 ? body.code : status));
}
