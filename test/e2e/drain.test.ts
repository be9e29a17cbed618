import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { followProject } from "../../client/follower.ts";
import { Balancer } from "../support/balancer.ts";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { OwnMongod } from "../support/own-mongod.ts";
import { rest } from "../support/rest.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

vi.setConfig({ testTimeout: 90_000 });

const stage = new Stage();
afterEach(stage.clear);

async function start(mongodbUri: string, key?: string): Promise<HubProcess> {
  const hub = await startHub({ mongodbUri, env: { LOG_LEVEL: "info" }, ...(key === undefined ? {} : { key }) });
  return stage.add(hub, (running) => running.kill());
}

test("[N8] [D1] [D2] [F18] SIGTERM under load, three times within 100 ms: all acked once, mirrors true, exit code 0", async () => {
  const { uri } = stage.database();
  const stopping = await start(uri);
  const staying = await start(uri, stopping.key);
  const { key } = stopping;
  const { url } = await Balancer.start(stage, [stopping, staying]);
  const followers = Array.from({ length: 4 }, () =>
    stage.add(followProject({ url, key, projectId: "p" }), (open) => open.close()),
  );
  const acked: string[] = [];
  let isOver = false;
  const publishing = Array.from({ length: 12 }, async (_, index) => {
    const running = stage.add(connectAgent({ url, key, agentId: `a${index}` }), (open) => open.disconnect());
    const session = running.open({ sessionId: `s${index}`, projectId: "p", machineId: "m" });
    for (let n = 1; !isOver; n++) {
      await session.publish([{ kind: "session", metadata: { n } }]);
      acked.push(`${session.sessionId}/${n}`);
    }
  });
  await eventually("everybody works", () => acked.length > 200);
  for (const ms of [0, 40, 40]) {
    await sleep(ms);
    process.kill(stopping.pid, "SIGTERM");
  }
  expect(await stopping.ended, stopping.output()).toBe(0);
  const before = acked.length;
  await eventually("everybody works elsewhere", () => acked.length > before + 200);
  isOver = true;
  await Promise.all(publishing);

  const database = await openDatabase(stage, uri);
  const changes = (await database.entries("p")).flatMap((entry) => entry.changes as Json[]);
  expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, index) => index + 1));
  const logged = changes.flatMap(({ id, patch }) => (patch?.metadata?.n ? [`${id}/${patch.metadata.n}`] : []));
  expect(logged.toSorted()).toEqual(acked.toSorted());
  await eventually("the mirrors are level", () => followers.every(({ position }) => position.seq === changes.length));
  const documents: Json[] = await database.db.collection("sessions").find().toArray();
  for (const { sessions } of followers) {
    const mirrored = [...sessions.values()].map(({ session_id, version, metadata }) => [session_id, version, metadata]);
    expect(new Map(mirrored.map((one) => [one[0], one]))).toEqual(
      new Map(documents.map(({ session_id, version, metadata }) => [session_id, [session_id, version, metadata]])),
    );
  }
  expect(await database.db.collection("hubs").countDocuments()).toBe(1);
  expect(stopping.output()).toMatch(/draining: clients moved/);
  expect(stopping.output()).not.toMatch(/not all|second signal/);
});

test("[R43] an operator's drain ends the process with exit code 0, and a signal meanwhile does not hurry it", async () => {
  const hub = await start(stage.database().uri);
  await agent(stage, hub, "a");
  expect(await rest(hub, "POST /admin/drain")).toMatchObject({ status: 202, body: { state: "draining" } });
  process.kill(hub.pid, "SIGTERM");
  expect(await hub.ended).toBe(0);
  expect(hub.output()).toMatch(/"msg":"drained"/);
});

test("[N8] a second signal ends it at once", async () => {
  const mongod = await OwnMongod.start(stage);
  const hub = await start(mongod.uri("hurried"));
  await (await agent(stage, hub, "a")).askOk("session:open", { session_id: "s", machine_id: "m" });
  mongod.freeze();
  process.kill(hub.pid, "SIGTERM");
  await sleep(700);
  process.kill(hub.pid, "SIGTERM");
  expect(await hub.ended).toBe(130);
  mongod.thaw();
});

test("[N8] with a MongoDB that is silent the process ends within 25 s all the same, and says what was open", async () => {
  const mongod = await OwnMongod.start(stage);
  const hub = await start(mongod.uri("silent"));
  const wire = await agent(stage, hub, "a");
  await wire.askOk("session:open", { session_id: "s", machine_id: "m" });
  mongod.freeze();
  const unanswered = wire.ask("changes:publish", {
    ...{ session_id: "s", incarnation: 1, op: 1 },
    changes: [{ kind: "session", status: "IDLE" }],
  });
  const begunAt = performance.now();
  process.kill(hub.pid, "SIGTERM");
  expect((await unanswered).error.code).toBe("UNAVAILABLE");
  const code = await hub.ended;
  expect(performance.now() - begunAt).toBeLessThan(25_500);
  // Whether all its waits fit into the limit is up to the driver.
  if (code !== 0) expect(hub.output()).toMatch(/not stopped within \d+ s; still open: .*MongoDB/);
});
