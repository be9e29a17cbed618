import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { mongo } from "mongoose";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { AuthMongod } from "../support/auth-mongod.ts";
import { eventually } from "../support/eventually.ts";
import { startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Json, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const mongodStage = new Stage();
let mongod: AuthMongod;
beforeAll(async () => {
  mongod = await AuthMongod.start(mongodStage);
});
afterAll(mongodStage.clear);

/** A secret file, replaced as a whole. */
class SecretFile {
  readonly path = join(
    stage.add(mkdtempSync(join(tmpdir(), "uri-")), (folder) => rmSync(folder, { recursive: true })),
    "uri",
  );

  write(text: string): void {
    writeFileSync(`${this.path}.new`, `${text}\n`);
    renameSync(`${this.path}.new`, this.path);
  }
}

/** A hub on a database and with users of its own. */
async function setUp(name: string) {
  const database = mongod.database(name);
  const addUser = (user: string) => mongod.addUser(name, `${name}-${user}`);
  const dropUser = (user: string) => database.command({ dropUser: `${name}-${user}` });
  const connectionsOf = (user: string) => mongod.connectionsOf(`${name}-${user}`);
  const file = new SecretFile();
  file.write(await addUser("first"));
  const env = { MONGODB_URI_FILE: file.path, MONGODB_MIN_POOL_SIZE: "2" };
  const hub = stage.add(await startHub({ mongodbUri: "", env }), (running) => running.stop());
  return { database, addUser, dropUser, connectionsOf, file, hub };
}

/** Publishes one op after the other, each until it is acked, as an agent would; tells the ops that were acked. */
function publishing(wire: Wire): { readonly acked: Json[]; stop(): Promise<void> } {
  const acked: Json[] = [];
  let isOver = false;
  const run = (async () => {
    for (let op = 1; !isOver; op++) {
      const changes = [{ kind: "session", metadata: { op } }];
      for (;;) {
        const answer = await wire.ask("changes:publish", { session_id: "s", incarnation: 1, op, changes });
        if (answer.ok) {
          acked.push({ op, seq: answer.seq });
          break;
        }
        if (!answer.error.retryable) throw new Error(JSON.stringify(answer.error));
      }
    }
  })();
  return {
    acked,
    stop: () => {
      isOver = true;
      return run;
    },
  };
}

async function expectWholeLog(database: mongo.Db, acked: readonly Json[]): Promise<void> {
  const entries = await database.collection("log").find().sort({ _id: 1 }).toArray();
  const changes = entries.flatMap((entry) => entry.changes as Json[]);
  expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, index) => index + 1));
  const ops = changes.flatMap(({ op }) => (op === undefined ? [] : [op]));
  expect(ops).toEqual(acked.map(({ op }) => op));
}

test("[K25] the user is changed under load: new pool, old one drained, nothing lost", async () => {
  const { database, addUser, dropUser, connectionsOf, file, hub } = await setUp("load");
  const wire = await agent(stage, hub);
  await wire.askOk("session:open", { session_id: "s", machine_id: "m" });
  const load = publishing(wire);
  for (const [next, former] of [
    ["second", "first"],
    ["third", "second"],
  ] as const) {
    const before = load.acked.length;
    await eventually("some work", () => load.acked.length > before + 20);
    file.write(await addUser(next));
    await eventually("the former connections are closed", async () => {
      return (await connectionsOf(former)) === 0 && (await connectionsOf(next)) > 0;
    });
    await dropUser(former);
    const atSwitch = load.acked.length;
    await eventually("work goes on", () => load.acked.length > atSwitch + 20);
  }
  await load.stop();
  await expectWholeLog(database, load.acked);
  expect(wire.socket.connected).toBe(true);
  expect(hub.output()).not.toContain("password-of-");
});

test("[K25] a user that is dropped too early makes publishes wait until the file names the next", async () => {
  const { database, addUser, dropUser, file, hub } = await setUp("early");
  const wire = await agent(stage, hub);
  await wire.askOk("session:open", { session_id: "s", machine_id: "m" });
  const load = publishing(wire);
  await eventually("some work", () => load.acked.length > 20);
  const next = await addUser("second");
  await dropUser("first");
  file.write("mongodb://nobody:wrong@127.0.0.1:1/hub?serverSelectionTimeoutMS=100");
  await eventually("the hub says that it stays", () => hub.output().includes("MONGODB_URI_FILE was read again, but"));
  const atFault = load.acked.length;
  file.write(next);
  await eventually("work goes on", () => load.acked.length > atFault + 20, 30_000);
  await load.stop();
  await expectWholeLog(database, load.acked);
  expect(hub.output()).not.toMatch(/password-of-|wrong/);
});

test("[K25] another database is not moved to", async () => {
  const { file, hub } = await setUp("other");
  const { uri } = stage.database();
  file.write(uri);
  await eventually("the hub says that it stays", () => hub.output().includes("it names another database"));
  const wire = await agent(stage, hub);
  await wire.askOk("session:open", { session_id: "s", machine_id: "m" });
});
