import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { followProject } from "../../client/follower.ts";
import { taskMapKey } from "../../client/mirror.ts";
import { decodeSession, decodeTask } from "../../server/mongo/codec.ts";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

/** A hub, started again on its port as often as it takes, and a network before it. */
class Place {
  hub: HubProcess;
  readonly #start: (port: number) => Promise<HubProcess>;
  readonly network: TcpProxy;

  static async open(start: (port?: number) => Promise<HubProcess>): Promise<Place> {
    const hub = await start();
    return new Place(hub, start, await TcpProxy.before(stage, hub.port));
  }

  constructor(hub: HubProcess, start: (port: number) => Promise<HubProcess>, network: TcpProxy) {
    this.hub = hub;
    this.#start = start;
    this.network = network;
  }

  async restart(signal: NodeJS.Signals): Promise<void> {
    await this.hub.kill(signal);
    this.hub = await this.#start(this.hub.port);
  }
}

type Fault = (place: Place) => unknown;
const killed: Fault = (place) => place.restart("SIGKILL");
const stopped: Fault = (place) => place.restart("SIGTERM");
const cut: Fault = (place) => place.network.cut();

test("[D3] [F19] [X3] two hubs fail in turn under load: no acked publish is lost or doubled, no viewer sees a hole or a step back", async () => {
  const uri = stage.database().uri;
  const key = randomUUID();
  const redis = await OwnRedis.start(stage);
  const start = async (port?: number) => {
    const env = { REDIS_URL: redis.url };
    const hub = await startHub({ mongodbUri: uri, key, env, ...(port === undefined ? {} : { port }) });
    return stage.add(hub, () => hub.kill());
  };
  const places = [await Place.open(start), await Place.open(start)];
  const url = places.map((place) => place.network.url);

  // A project without changes has no position to go on from ([V13]).
  const first = connectAgent({ url, key });
  await first.open({ sessionId: "first", projectId: "p" }).publish({ kind: "session", status: "IDLE" });
  await first.close({ status: "COMPLETED" });

  const viewers = Array.from({ length: 4 }, () => {
    const follower = stage.add(followProject({ url, key, projectId: "p" }), (one) => one.close());
    const seqs: number[] = [];
    const resets: string[] = [];
    follower.on("change", ({ change }) => seqs.push(change.seq));
    follower.on("reset", ({ reason, to }) => resets.push(`${reason} ${to.seq}`));
    return { follower, seqs, resets };
  });
  await Promise.all(viewers.map(({ follower }) => follower.ready));

  const acked = new Map<string, number>();
  let isOver = false;
  const work = Array.from({ length: 4 }, async (_, index) => {
    const agent = stage.add(connectAgent({ url, key, agentId: `a${index}` }), (one) => one.disconnect());
    const session = agent.open({ sessionId: `s${index}`, projectId: "p" });
    for (let n = 1; !isOver; n++) {
      const mark = `${index}.${n}`;
      const task = { kind: "task", task_id: `t${n % 10}`, title: "a step", metadata: { mark } } as const;
      const published = await session.publish([{ kind: "session", metadata: { mark } }, task]);
      acked.set(mark, published.seq);
    }
    await agent.close({ status: "COMPLETED" });
  });
  const done = Promise.all(work);
  done.catch(() => {});

  for (const [round, fault] of [killed, stopped, cut, killed].entries()) {
    const before = acked.size;
    await fault(places[round % 2] as Place);
    await eventually("the agents go on", () => acked.size > before + 40);
    await eventually("the viewers go on", () => viewers.every(({ follower }) => follower.state.name === "ready"));
  }
  isOver = true;
  await done;

  const database = await openDatabase(stage, uri);
  const changes = (await database.entries("p")).flatMap((entry) => entry.changes);
  expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, index) => index + 1));
  const head = changes.length;
  const marks = Map.groupBy(
    changes.filter(({ op }) => op !== undefined),
    (change) => String(markOf(change.patch ?? change.state)),
  );
  for (const [mark, seq] of acked) {
    expect(marks.get(mark)?.map((change) => change.kind)).toEqual(["session", "task"]);
    expect(marks.get(mark)?.at(-1)?.seq).toBe(seq);
  }

  const sessions = await database.db.collection("sessions").find({ project_id: "p" }).toArray();
  const tasks = await database.tasks("p");
  const sessionsThere = sessions.map((one) => decodeSession(one as never).entity);
  for (const { follower, seqs, resets } of viewers) {
    await follower.waitFor((one) => one.position.seq === head, { timeoutMs: 10_000 });
    expect(resets).toHaveLength(1);
    const from = Number(resets[0]?.split(" ")[1]);
    expect(seqs).toEqual(Array.from({ length: head - from }, (_, index) => from + index + 1));
    expect(Object.fromEntries(follower.sessions)).toEqual(
      Object.fromEntries(sessionsThere.map((session) => [session.session_id, session])),
    );
    expect(Object.fromEntries(follower.tasks)).toEqual(
      Object.fromEntries(
        tasks.map((one) => [taskMapKey(one.session_id, one.task_id), decodeTask(one as never).entity]),
      ),
    );
  }
}, 120_000);

function markOf(fields: unknown): unknown {
  return (fields as { metadata?: { mark?: unknown } } | undefined)?.metadata?.mark;
}
