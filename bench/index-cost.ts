// What do the indexes of operators' lists cost the path of a change?

import mongoose from "mongoose";
import type { SessionRecord } from "../server/domain/records.ts";
import { SESSION_FILTERS } from "../server/mongo/models.ts";
import { prepareDatabase } from "../server/mongo/prepare-database.ts";
import { MongoProjections } from "../server/mongo/projections.ts";
import type { Session } from "../shared/entities.ts";
import { cpuSeconds } from "./support/process-usage.ts";
import { startMongod } from "./support/processes.ts";
import { publishReport, round } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";

const settings = readSettings({ pairs: 5, seconds: 1, warmupSeconds: 1 }, { sessions: [5_000] });
const [sessions = 0] = settings.sessions;
const BATCH = 200;
const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
/** What a change does to a session's document. */
const CHANGES: readonly (readonly [name: string, change: (session: Session) => Partial<Session>])[] = [
  ["created", () => ({})],
  ["metadata", (session) => ({ metadata: { step: session.version } })],
  ["status", (session) => ({ status: session.status === "ACTIVE" ? "IDLE" : "ACTIVE" })],
  ["liveness", (session) => ({ liveness: session.liveness === "online" ? "stale" : "online" })],
];

const mongod = await startMongod();

function newSession(index: number): Session {
  const at = new Date(Date.now() - index).toISOString();
  return {
    ...{ session_id: `s-${index}`, project_id: `p-${index % 20}`, status: "ACTIVE", liveness: "online" },
    ...{ machine_id: `m-${index % 300}`, agent_id: "a", hub_id: "hub.1", environment: "production", metadata: {} },
    ...{ incarnation: 1, created_at: at, updated_at: at, version: 0, seq: 0 },
  };
}

/** Microseconds of mongod's CPU a document, by what changed. */
async function run(database: string, isWhole: boolean): Promise<number[]> {
  const connection = await mongoose.createConnection(mongod.uri(database)).asPromise();
  const { db } = connection;
  if (db === undefined) throw new Error("not connected");
  await prepareDatabase(connection, QUIET, { isAlone: false });
  if (!isWhole) await dropListIndexes(db);
  const projections = new MongoProjections(db);
  let documents = Array.from({ length: sessions }, (_, index) => newSession(index));
  const figures: number[] = [];
  for (const [, change] of CHANGES) {
    const at = new Date().toISOString();
    documents = documents.map((session) => {
      const version = session.version + 1;
      return { ...session, ...change(session), updated_at: at, version, seq: version };
    });
    const before = cpuSeconds(mongod.pid);
    for (let start = 0; start < sessions; start += BATCH) {
      await projections.write({ sessions: documents.slice(start, start + BATCH).map(recordOf), tasks: [] });
    }
    figures.push(((cpuSeconds(mongod.pid) - before) / sessions) * 1e6);
  }
  await db.dropDatabase();
  await connection.close();
  return figures;
}

function recordOf(entity: Session): SessionRecord {
  return { entity, appliedSeq: entity.seq, lastOp: 0, lastOpSeq: 0, editVersion: entity.version };
}

async function dropListIndexes(db: mongoose.mongo.Db): Promise<void> {
  for (const { name = "", key } of await db.collection("sessions").indexes()) {
    const fields = Object.keys(key);
    const isFilter = SESSION_FILTERS.some((field) => fields.includes(field)) && fields.includes("created_at");
    const isOrder = fields.includes("updated_at") || fields.includes("metadata.recovery_attempts");
    if (isFilter || isOrder) await db.collection("sessions").dropIndex(name);
  }
}

await run("warmup", true);
const runs: { whole: number[]; without: number[] }[] = [];
for (let pair = 0; pair < settings.pairs; pair++) {
  const first = await run(`first-${pair}`, pair % 2 === 0);
  const second = await run(`second-${pair}`, pair % 2 !== 0);
  runs.push(pair % 2 === 0 ? { whole: first, without: second } : { whole: second, without: first });
}
const rows = CHANGES.map(([name], index) => {
  const [whole, without] = [
    median(runs.map((one) => one.whole[index] ?? 0)),
    median(runs.map((one) => one.without[index] ?? 0)),
  ];
  return [name, round(whole), round(without), round(whole - without)];
});
publishReport(
  {
    name: "index-cost",
    question: "What do the indexes of operators' lists cost mongod for each session that changes?",
    mongodVersion: mongod.version,
    settings: { sessions, pairs: settings.pairs, batch: BATCH },
    tables: [{ title: "µs of mongod's CPU a document, medians", columns: ["change", "with", "without", "more"], rows }],
    verdicts: [],
    runs,
  },
  settings.out,
);
await mongod.stop();
