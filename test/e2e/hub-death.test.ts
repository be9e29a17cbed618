import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { Balancer } from "../support/balancer.ts";
import { eventually } from "../support/eventually.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

// A hub takes its time to die, and so do real processes to start.
vi.setConfig({ testTimeout: 90_000 });

const stage = new Stage();
afterEach(stage.clear);

const TTL = 3_000;
const GRACE = 4_000;
/** A hub's row stands still for so long before the others call it dead. */
const DEATH = 3_000;
const env = {
  HEARTBEAT_INTERVAL_MS: "1000",
  LEASE_TTL_MS: String(TTL),
  LEASE_GRACE_MS: String(GRACE),
  LOG_LEVEL: "info",
};

/** Two hubs, each a process, on one database, and agents of the SDK that reach them through a balancer. */
class Fleet {
  readonly database: Database;
  readonly balancer: Balancer;
  readonly hubs: HubProcess[];
  readonly #uri: string;

  static async start(): Promise<Fleet> {
    const { uri } = stage.database();
    const first = stage.add(await startHub({ mongodbUri: uri, env }), (hub) => hub.kill());
    const second = stage.add(await startHub({ mongodbUri: uri, env, key: first.key }), (hub) => hub.kill());
    const hubs = [first, second];
    return new Fleet(uri, await openDatabase(stage, uri), await Balancer.start(stage, hubs), hubs);
  }

  constructor(uri: string, database: Database, balancer: Balancer, hubs: HubProcess[]) {
    this.#uri = uri;
    this.database = database;
    this.balancer = balancer;
    this.hubs = hubs;
  }

  hub(index: 0 | 1): HubProcess {
    return this.hubs[index] as HubProcess;
  }

  /** The same hub again: its port, its key. */
  async restart(index: 0 | 1): Promise<void> {
    const { port, key } = this.hub(index);
    this.hubs[index] = stage.add(await startHub({ mongodbUri: this.#uri, env, port, key }), (hub) => hub.kill());
  }

  /** Agents of the SDK, as they are: they come back by themselves. */
  async agents(count: number): Promise<void> {
    const opened = Array.from({ length: count }, (_, index) => {
      const running = connectAgent({ url: this.balancer.url, key: this.hub(0).key, agentId: `a${index}` });
      stage.add(running, (open) => open.disconnect());
      return running.open({ sessionId: `agent-${index}`, projectId: "p", machineId: "m" }).ready;
    });
    await Promise.all(opened);
  }

  /** Sessions of agents that are gone when their hub is. */
  async mortals(hub: HubProcess, count: number): Promise<string[]> {
    const wire = await agent(stage, hub, "mortal");
    const ids = Array.from({ length: count }, (_, index) => `mortal-${index}`);
    const opened: Json[] = await Promise.all(
      ids.map((session_id) => wire.askOk("session:open", { session_id, project_id: "p", machine_id: "m" })),
    );
    const sessions = opened.map(({ session, incarnation }) => ({ session_id: session.session_id, incarnation }));
    const timer = setInterval(() => wire.socket.emit("heartbeat", { sessions }), 1_000);
    stage.add(timer, clearInterval);
    return ids;
  }

  /** Verdicts in the log, `<session> <liveness>`, in their order. */
  async verdicts(): Promise<string[]> {
    const changes = (await this.database.entries("p")).flatMap((entry) => entry.changes as Json[]);
    return changes.filter(({ type }) => type === "liveness").map(({ id, patch }) => `${id} ${patch.liveness}`);
  }

  async lost(): Promise<string[]> {
    return (await this.verdicts()).filter((verdict) => verdict.endsWith(" lost")).toSorted();
  }

  sessions(filter: Json = {}): Promise<Json[]> {
    return this.database.db.collection("sessions").find(filter).toArray();
  }
}

test("[Y1] [Y4] kill -9 of one of two hubs: who is elsewhere stays online, the others are lost once, in time", async () => {
  const fleet = await Fleet.start();
  await fleet.agents(6);
  const mortals = await fleet.mortals(fleet.hub(0), 20);
  await sleep(1_000);
  await fleet.hub(0).kill();
  const killedAt = performance.now();
  await eventually("all of them are lost", async () => (await fleet.lost()).length >= mortals.length, GRACE + 20_000);
  const tookMs = performance.now() - killedAt;
  expect(tookMs).toBeGreaterThan(GRACE);
  expect(tookMs).toBeLessThan(GRACE + 5_000);
  await sleep(GRACE);
  expect(await fleet.lost()).toEqual(mortals.map((id) => `${id} lost`).toSorted());
  expect(await fleet.sessions({ session_id: /^agent/, liveness: "online" })).toHaveLength(6);
  expect(await fleet.database.db.collection("hubs").countDocuments()).toBe(1);
  expect(fleet.hub(1).output()).toMatch(/a hub does not answer, its sessions get the grace/);
  expect(fleet.hub(1).output()).toMatch(/"sessions":20.*sessions declared lost/);
});

test("[Y3] SIGTERM of one of two hubs: its agents move to the other, and nobody is lost", async () => {
  const fleet = await Fleet.start();
  await fleet.agents(8);
  const stopping = fleet.hub(0);
  await stopping.kill("SIGTERM");
  await eventually("all agents are on the hub that stays", async () => {
    const sessions = await fleet.sessions();
    return new Set(sessions.map(({ hub_id }) => hub_id)).size === 1;
  });
  expect(await fleet.database.db.collection("hubs").countDocuments()).toBe(1);
  await sleep(TTL + GRACE + 1_000);
  expect(await fleet.verdicts()).toEqual([]);
});

test("[Y5] kill -9 of all hubs and a start of all: the agents come back, and nobody is lost", async () => {
  const fleet = await Fleet.start();
  await fleet.agents(8);
  const before = new Set((await fleet.sessions()).map(({ hub_id }) => hub_id));
  await Promise.all(fleet.hubs.map((hub) => hub.kill()));
  await sleep(DEATH);
  await Promise.all([fleet.restart(0), fleet.restart(1)]);
  await eventually("all agents are back", async () => {
    const sessions = await fleet.sessions();
    return sessions.every(({ hub_id }) => !before.has(hub_id));
  });
  await sleep(DEATH + TTL + GRACE + 1_000);
  expect(await fleet.verdicts()).toEqual([]);
  const rows = await fleet.database.db.collection("hubs").countDocuments();
  expect(rows, "rows of the dead are gone").toBe(2);
});

test("[Y4] [Y7] a hub that is stopped for longer than it takes to die goes on: nothing is lost twice, all come back", async () => {
  const fleet = await Fleet.start();
  const paused = fleet.hub(0);
  fleet.balancer.ports.delete(fleet.hub(1).port);
  await fleet.agents(8);
  process.kill(paused.pid, "SIGSTOP");
  try {
    await eventually("all are lost", async () => (await fleet.lost()).length >= 8, DEATH + GRACE + 20_000);
    const rows = fleet.database.db.collection("hubs");
    await eventually("and its row removed", async () => (await rows.countDocuments()) === 1);
  } finally {
    process.kill(paused.pid, "SIGCONT");
  }
  await eventually("all are back", async () => (await fleet.sessions({ liveness: "online" })).length === 8, 30_000);
  await sleep(TTL + GRACE);
  const sessions = await fleet.sessions();
  expect(sessions.map(({ metadata }) => metadata.recovery_attempts)).toEqual(Array(8).fill(1));
  expect(await fleet.lost()).toEqual(Array.from({ length: 8 }, (_, index) => `agent-${index} lost`));
  expect(await fleet.database.db.collection("hubs").countDocuments()).toBe(2);
  expect(paused.output()).toMatch(/other hubs took this one for dead/);
});
