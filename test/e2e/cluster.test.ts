import { readFileSync } from "node:fs";
import { get } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { connectAgent } from "../../client/agent.ts";
import { followProject, type ProjectFollower } from "../../client/follower.ts";
import { askHubsUp } from "../../scripts/cluster/balancer-status.ts";
import { findHaproxy } from "../../scripts/cluster/haproxy.ts";
import { localFleet } from "../../scripts/cluster/local-fleet.ts";
import { type Restarted, rollingRestart } from "../../scripts/cluster/rolling-restart.ts";
import { isAlive } from "../../server/embedded/process-identity.ts";
import { BlindTimes } from "../support/blind-times.ts";
import { ClusterProcess } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/test-hub.ts";
import type { Json } from "../support/wire.ts";

// Up to eight processes start and stop, one after the other.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const haproxy = findHaproxy(process.env);

/** Tasks that were acked, by id; a publish that was acked twice or not at all would show in what is there at the end. */
class Worker {
  readonly acked = new Set<string>();
  readonly #running: Promise<void>;
  #isStopping = false;

  constructor(cluster: ClusterProcess, name: string) {
    const agent = connectAgent({ url: cluster.url, key: cluster.key, agentId: name });
    const session = agent.open({ sessionId: name, projectId: "p", machineId: "m" });
    this.#running = (async () => {
      for (let count = 1; !this.#isStopping; count += 1) {
        const id = `${name}-${count}`;
        await session.publish({ kind: "task", task_id: id, title: id });
        this.acked.add(id);
        await sleep(50);
      }
      await agent.close();
    })();
    this.#running.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }
}

describe(`a cluster behind ${haproxy === undefined ? "the built-in balancer (no haproxy here)" : "haproxy"}`, () => {
  const stage = new Stage();
  let cluster: ClusterProcess;
  let workers: Worker[] = [];
  let followers: ProjectFollower[] = [];
  let blind: BlindTimes[] = [];

  beforeAll(async () => {
    cluster = stage.add(await ClusterProcess.start(["--hubs", "3"]), (open) => open.stop());
    workers = Array.from({ length: 6 }, (_, index) => new Worker(cluster, `w${index}`));
    followers = Array.from({ length: 6 }, () => {
      const follower = followProject({ url: cluster.url, key: cluster.key, projectId: "p" });
      return stage.add(follower, (open) => open.close());
    });
    await Promise.all(followers.map((follower) => follower.ready));
    blind = followers.map((follower) => new BlindTimes(follower));
  });
  afterAll(stage.clear);

  test("says what runs, and each hub gets connections", async () => {
    const { balancer, hubs, redis } = cluster.description;
    expect(balancer.kind).toMatch(haproxy === undefined ? /^built-in/ : /^haproxy \d/);
    expect(redis).toBe(true);
    expect(hubs.map(({ name }) => name)).toEqual(["hub-1", "hub-2", "hub-3"]);
    expect(await askHubsUp(balancer.status_url)).toEqual(new Set(["hub-1", "hub-2", "hub-3"]));
    await eventually("work on more than one hub", async () => (await hubIds()).size > 1);
  });

  test("a rolling restart under load: each hub is a new process, and the viewers are blind for moments only", async () => {
    const before = cluster.description.hubs.map(({ pid }) => pid);
    const restarted: Restarted[] = [];
    await rollingRestart(localFleet(cluster.dataDir), (hub) => restarted.push(hub)).catch((error: Error) => {
      throw new Error(`${error.message}\n${JSON.stringify(cluster.events)}`);
    });
    expect(restarted.map(({ name }) => name)).toEqual(["hub-1", "hub-2", "hub-3"]);
    expect(cluster.description.hubs.filter(({ pid }) => pid === undefined || before.includes(pid))).toEqual([]);
    const ends = cluster.events.filter(({ event }) => event === "ended").map(({ name, reason }) => `${name} ${reason}`);
    expect(ends).toEqual(["hub-1 exit code 0", "hub-2 exit code 0", "hub-3 exit code 0"]);
    await eventually("all viewers are in step again", () => followers.every(({ state }) => state.name === "ready"));
    const all = blind.flatMap(({ ms }) => ms);
    console.error(`viewers blind: ${all.toSorted((a, b) => a - b).join(", ")} ms`);
    expect(all.length, "each was on one of them").toBeGreaterThanOrEqual(followers.length);
    // Loaded machines included; the figure that counts is that of npm run torture:rolling.
    expect(Math.max(...all)).toBeLessThan(15_000);
  });

  test("kill -9 of a hub: it is started again, and its clients go on", async () => {
    const victim = cluster.description.hubs[1];
    const acked = () => workers.map((worker) => worker.acked.size);
    const before = acked();
    process.kill(victim?.pid ?? 0, "SIGKILL");
    await eventually("it is ready again", () => started("hub-2").length > 1, 60_000);
    expect(cluster.events.findLast(({ event }) => event === "ended")).toMatchObject({
      name: "hub-2",
      reason: "SIGKILL",
    });
    await eventually(
      "everybody works on",
      () => acked().every((count, index) => count > (before[index] ?? 0) + 5),
      30_000,
    );
  });

  test("nothing acked was lost or done twice, and every mirror is equal to what a new viewer is told", async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    const late = stage.add(followProject({ url: cluster.url, key: cluster.key, projectId: "p" }), (open) =>
      open.close(),
    );
    await late.ready;
    const acked = workers.flatMap((worker) => [...worker.acked]);
    expect(acked.length).toBeGreaterThan(100);
    const known = [...late.tasks.values()].map(({ task_id, version }) => [task_id, version]);
    expect(new Map(known as [string, number][])).toEqual(new Map(acked.map((id) => [id, 1])));
    for (const follower of followers) {
      await eventually("it is level", () => follower.position.seq === late.position.seq);
      expect(follower.tasks).toEqual(late.tasks);
      expect(follower.sessions).toEqual(late.sessions);
    }
  });

  test("Ctrl-C stops all of it in order and leaves nothing behind", async () => {
    const { hubs, balancer } = cluster.description;
    const pids = [...hubs.map(({ pid }) => pid), balancer.pid].filter((pid) => pid !== undefined);
    await cluster.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(cluster.output).toMatch(/stopping: hubs first[\s\S]*stopped\n$/);
  });

  const started = (name: string) => cluster.events.filter((line) => line.event === "ready" && line.name === name);

  async function hubIds(): Promise<Set<string>> {
    const headers = { "X-Api-Key": cluster.key };
    const response = await fetch(`${cluster.url}/sessions?project_id=p`, { headers });
    const { items } = (await response.json()) as { items: Json[] };
    return new Set(items.map(({ hub_id }) => hub_id));
  }
});

describe("a cluster with TLS and without haproxy", () => {
  const stage = new Stage();
  afterAll(stage.clear);

  test("speaks https and wss to who trusts its own authority, and to nobody else", async () => {
    const args = ["--hubs", "1", "--tls", "--balancer", "built-in"];
    const cluster = stage.add(await ClusterProcess.start(args), (open) => open.stop());
    const { url, ca_file, balancer } = cluster.description;
    const ca = readFileSync(ca_file ?? "", "utf8");
    expect([url, balancer.kind]).toEqual([expect.stringMatching(/^https:/), "built-in balancer"]);
    expect(await statusOf(`${url}/health/ready`, ca)).toBe(200);
    expect(await statusOf(`${url.replace("127.0.0.1", "localhost")}/health/ready`, ca)).toBe(200);
    await expect(statusOf(`${url}/health/ready`, undefined)).rejects.toThrow(/certificate/);
    const socket = new WebSocket(`${url.replace("https", "wss")}/socket.io/?EIO=4&transport=websocket`, { ca });
    stage.add(socket, (open) => open.terminate());
    const hello = await new Promise((resolve, reject) => {
      socket.once("message", (data) => resolve(data.toString()));
      socket.once("error", reject);
    });
    expect(hello).toMatch(/^0\{"sid"/);
    await cluster.stop();
    expect(cluster.output).toMatch(/stopped\n$/);
  });
});

function statusOf(url: string, ca: string | undefined): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { ...(ca === undefined ? {} : { ca }), agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });
}
