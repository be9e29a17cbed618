import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { Agents } from "../support/agents.ts";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const SHORT = { HEARTBEAT_INTERVAL_MS: "300", LEASE_TTL_MS: "1500", LEASE_GRACE_MS: "1000" };
const SESSION = { session_id: "s", project_id: "p", machine_id: "m" };

interface Pair {
  readonly uri: string;
  readonly one: TestHub;
  readonly two: TestHub;
}

/** Two hubs on one MongoDB that hear of each other soon. */
async function twoHubs(env: Readonly<Record<string, string>> = {}): Promise<Pair> {
  const settings = { uri: stage.database().uri, key: randomUUID(), env, overrides: { bounds: { headPollMs: 100 } } };
  return { uri: settings.uri, one: await stage.hub(settings), two: await stage.hub(settings) };
}

const publish = (wire: Wire, incarnation: number, op: number, metadata: Json = { op }): Promise<Json> =>
  wire.ask("changes:publish", { session_id: "s", incarnation, op, changes: [{ kind: "session", metadata }] });

const beat = (wire: Wire, incarnation: number): Promise<Json> =>
  wire.ask("heartbeat", { sessions: [{ session_id: "s", incarnation }] });

const livenessOf = async (hub: TestHub) => (await rest(hub, "GET /sessions/s")).body.liveness;

describe.each(["the same hub", "another hub"])("through %s", (where) => {
  const pick = ({ one, two }: Pair) => (where === "the same hub" ? one : two);

  test("[O8] [O9] the successor of an agent that was killed waits for the lease, then takes the session at once", async () => {
    const pair = await twoHubs(SHORT);
    const dead = await Agents.start(stage, pair.one);
    const successor = await agent(stage, pick(pair));
    await dead.kill();
    expect((await successor.ask("session:open", SESSION)).error).toMatchObject({
      code: "ALREADY_OWNED",
      details: { incarnation: 1 },
    });
    await eventually("stale", async () => (await livenessOf(pair.one)) === "stale");
    expect(await successor.askOk("session:open", SESSION)).toMatchObject({
      created: false,
      resumed: false,
      incarnation: 2,
      session: { liveness: "online" },
    });
    expect((await publish(successor, 2, 1)).ok).toBe(true);
  });

  test("[O8] [P19] [B4] [N2] an agent that was stopped for longer than its lease wakes up fenced by its twin", async () => {
    const pair = await twoHubs(SHORT);
    const sleeper = await Agents.start(stage, pair.one);
    sleeper.freeze();
    await eventually("stale", async () => (await livenessOf(pair.one)) === "stale");
    const twin = await agent(stage, pick(pair));
    await twin.askOk("session:open", SESSION);
    sleeper.thaw();
    expect((await sleeper.hears("fenced"))[0].message).toEqual({ session_id: "s", incarnation: 1, reason: "taken" });
    sleeper.tell("publish");
    expect((await sleeper.hears("published"))[0].answer.error.code).toBe("FENCED");
    const { entries } = await log(pair);
    expect(entries.filter(({ op }: Json) => op !== undefined)).toEqual([]);
  });

  test("[O7] [N2] the owner's newest process takes the session from the one before, whose writes are fenced", async () => {
    const pair = await twoHubs();
    const old = await agent(stage, pair.one, "a");
    await old.askOk("session:open", SESSION);
    const newest = await agent(stage, pick(pair), "a");
    expect(await newest.askOk("session:open", SESSION)).toMatchObject({ incarnation: 2 });
    expect((await publish(old, 1, 1)).error.code).toBe("FENCED");
    expect(await old.hears("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "taken" }]);
    expect((await beat(old, 1)).rejected).toEqual([{ session_id: "s", code: "FENCED" }]);
  });

  test("[O6] [O18] the same process on a new connection: the old one just no longer has the session", async () => {
    const pair = await twoHubs();
    const old = await agent(stage, pair.one, "a");
    const { token } = await old.askOk("session:open", SESSION);
    const fresh = await agent(stage, pick(pair), "a");
    expect(await fresh.askOk("session:open", { ...SESSION, incarnation: 1, token })).toMatchObject({ incarnation: 1 });
    await eventually("not there", async () => (await beat(old, 1)).rejected?.[0].code === "NOT_FOUND");
    expect((await publish(old, 1, 1)).error.code).toBe("NOT_FOUND");
    expect(old.messages("fenced")).toEqual([]);
    expect((await publish(fresh, 1, 1)).ok).toBe(true);
  });

  test("[N4] [N5] [R25] the owner hears what operators do to its session, and that they ended it", async () => {
    const pair = await twoHubs();
    const owner = await agent(stage, pair.one);
    await owner.askOk("session:open", SESSION);
    await rest(pick(pair), "PATCH /sessions/s", { body: { metadata: { priority: "high" } } });
    await rest(pick(pair), "POST /sessions/s/close", { body: { status: "CANCELLED" } });
    expect(await owner.hears("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "ended" }]);
    expect(owner.messages("session")).toMatchObject([
      { version: 2, patch: { metadata: { priority: "high" } }, actor: { kind: "operator" } },
      { version: 3, patch: { status: "CANCELLED", liveness: "ended" } },
    ]);
  });
});

test("[B14] [O14] the lease goes with the owner: the hub it left judges nobody", async () => {
  const pair = await twoHubs(SHORT);
  const old = await agent(stage, pair.one);
  const { token } = await old.askOk("session:open", SESSION);
  const fresh = await agent(stage, pair.two);
  await fresh.askOk("session:open", { ...SESSION, incarnation: 1, token });
  for (let beats = 0; beats < 10; beats++) {
    await sleep(250);
    await beat(fresh, 1);
  }
  const { entries } = await log(pair);
  expect(entries.map(({ type }: Json) => type)).toEqual(["created", "updated"]);
});

test("[O18] [B4] of one session open on two connections in turn, only the last one's heartbeats count", async () => {
  const { one, uri } = await twoHubs(SHORT);
  const old = await agent(stage, one);
  const { token } = await old.askOk("session:open", SESSION);
  const fresh = await agent(stage, one);
  await fresh.askOk("session:open", { ...SESSION, incarnation: 1, token });
  const database = await openDatabase(stage, uri);
  const stale = async () => (await database.session("p", "s"))?.liveness === "stale";
  await eventually("stale, whatever the old connection sends", async () => {
    expect((await beat(old, 1)).rejected).toEqual([{ session_id: "s", code: "NOT_FOUND" }]);
    return stale();
  });
  expect((await beat(fresh, 1)).rejected).toBeUndefined();
  await eventually("online", async () => !(await stale()));
});

describe("POST /sessions/{id}/expire", () => {
  test("[R32] [F9] gives up a session whose agent is gone", async () => {
    const pair = await twoHubs(SHORT);
    const agents = await Agents.start(stage, pair.one);
    const headers = { "X-Request-Id": "req-9" };
    const online = await rest(pair.two, "POST /sessions/s/expire?project_id=p", { headers });
    expect(online).toMatchObject({
      status: 409,
      body: {
        code: "INVALID_TRANSITION",
        request_id: "req-9",
        detail: expect.stringContaining("is online"),
        details: { from: "ACTIVE", to: "FAILED", liveness: "online", allowed: expect.arrayContaining(["FAILED"]) },
      },
    });
    agents.freeze();
    await eventually("stale", async () => (await livenessOf(pair.one)) === "stale");
    const expired = await rest(pair.two, "POST /sessions/s/expire", { headers });
    expect(expired).toMatchObject({
      status: 200,
      body: { status: "FAILED", liveness: "ended", display: { state: "failed" } },
    });
    expect(expired.headers.get("etag")).toBe(`"${expired.body.version}"`);
    const { entries } = await log(pair);
    const actor = { kind: "operator", id: expect.stringMatching(/^key:[0-9a-f]{8}$/) };
    expect(entries.at(-1)).toMatchObject({ type: "ended", actor, request_id: "req-9" });
    agents.thaw();
    expect((await agents.hears("fenced"))[0].message).toEqual({ session_id: "s", incarnation: 1, reason: "ended" });
    expect(await rest(pair.one, "POST /sessions/s/expire")).toMatchObject({
      status: 409,
      body: { code: "INVALID_TRANSITION", details: { from: "FAILED", to: "FAILED", allowed: [] } },
    });
  });

  test("[R32] [R18] [R4] takes unmonitored sessions, names what is missing or ambiguous, and is a POST", async () => {
    const { one } = await twoHubs();
    for (const project_id of ["p", "q"]) {
      await rest(one, "POST /sessions", { body: { session_id: "s", machine_id: "m", project_id } });
    }
    expect(await rest(one, "POST /sessions/s/expire")).toMatchObject({ status: 409, body: { code: "AMBIGUOUS" } });
    expect(await rest(one, "POST /sessions/s/expire?project_id=q")).toMatchObject({
      status: 200,
      body: { project_id: "q", status: "FAILED" },
    });
    expect(await rest(one, "POST /sessions/none/expire")).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    expect(await rest(one, "POST /sessions/s/expire", { key: null })).toMatchObject({ status: 401 });
    const get = await rest(one, "GET /sessions/s/expire");
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

async function log(pair: Pair): Promise<{ entries: Json[] }> {
  const database = await openDatabase(stage, pair.uri);
  return { entries: (await database.entries("p")).flatMap(({ changes }) => changes) };
}
