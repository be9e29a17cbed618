import { randomBytes } from "node:crypto";
import mongoose from "mongoose";
import { foldChange } from "../../server/domain/fold.ts";
import { type Entry, Family, type LogChange } from "../../server/domain/records.ts";
import { addCounts, type Counts, countsMoved, type Standing, standingOf } from "../../server/domain/standing.ts";
import type { BeatDocument } from "../../server/mongo/beats.ts";
import { encodeEntry, encodeSession } from "../../server/mongo/codec.ts";
import { MongoCounts } from "../../server/mongo/counts.ts";
import { prepareDatabase } from "../../server/mongo/prepare-database.ts";
import { MongoProjections } from "../../server/mongo/projections.ts";
import type { Session } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";

export interface Seed {
  readonly uri: string;
  readonly sessions: number;
  readonly changes: number;
  readonly projects: number;
  readonly say: (line: string) => void;
}

/** Changes of one entry, as a busy hub commits them. */
const ENTRY_CHANGES = 20;
const BATCH = 500;
const SPAN_MS = 30 * 24 * 60 * 60_000;
const HUB_ID = "seed.00000000";
const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

/** In the first of these projects every session is live, in the others one in fifty. */
export const seedProject = (index: number) => `seed-${index}`;
export const seedSession = (index: number) => `s-${index}`;
export const MACHINES = 500;

/**
 * Fills an empty database as hubs would have: the log in bulk, documents that are what the log folds to, last heartbeats, marks, counts, and
 * the indexes at the end, which is several times faster than with each document. Live sessions are `unmonitored`, so
 * that no hub has a verdict to pass on them.
 */
export async function seedDatabase({ uri, sessions, changes, projects, say }: Seed): Promise<void> {
  const connection = await mongoose.createConnection(uri).asPromise();
  try {
    const { db } = connection;
    if (db === undefined) throw new Error("not connected");
    const { models } = await prepareDatabase(connection, QUIET, { isAlone: false });
    if ((await db.collection("log").findOne()) !== null) throw new Error("the database is not empty");
    await Promise.all(["sessions", "log"].map((name) => db.collection(name).dropIndexes()));
    const versions = Math.max(1, Math.round(changes / sessions));
    const perProject = Math.ceil(sessions / projects);
    for (let index = 0; index < projects; index++) {
      const count = Math.min(perProject, sessions - index * perProject);
      if (count > 0) await seedOne(db, { index, count, versions });
      if ((index + 1) % Math.ceil(projects / 10) === 0) say(`${index + 1} of ${projects} projects`);
    }
    say("indexes");
    for (const model of Object.values(models)) await model.createIndexes();
  } finally {
    await connection.close();
  }
}

interface ProjectSeed {
  readonly index: number;
  readonly count: number;
  readonly versions: number;
}

async function seedOne(db: mongoose.mongo.Db, { index, count, versions }: ProjectSeed): Promise<void> {
  const projectId = seedProject(index);
  const epoch = randomBytes(8).toString("hex");
  const total = count * versions;
  const start = Date.now() - SPAN_MS;
  const families = Array.from({ length: count }, () => new Family());
  let counts: Counts = new Map();
  let batch: Entry[] = [];
  let writing: Promise<unknown> = Promise.resolve();
  const flush = async () => {
    await writing;
    writing = db.collection("log").insertMany(batch.map(encodeEntry) as object[], { ordered: false });
    batch = [];
  };
  for (let seq = 1; seq <= total; seq += ENTRY_CHANGES) {
    const at = new Date(start + Math.floor((seq / total) * SPAN_MS)).toISOString();
    const made: LogChange[] = [];
    for (let next = seq; next < Math.min(seq + ENTRY_CHANGES, total + 1); next++) {
      const session = (next - 1) % count;
      const family = families[session] as Family;
      const change = changeOf(family.session?.entity, {
        projectId,
        session,
        versions,
        seq: next,
        at,
        isLive: index === 0,
      });
      foldChange(family, change, at);
      made.push(change);
    }
    const entry = {
      project_id: projectId,
      from_seq: seq,
      to_seq: seq + made.length - 1,
      epoch,
      hub_id: HUB_ID,
      at,
      changes: made,
    };
    counts = addCounts(counts, countsMoved(entry) ?? new Map());
    batch.push(entry);
    if (batch.length === BATCH) await flush();
  }
  if (batch.length > 0) await flush();
  await writing;
  const documents = families.flatMap(({ session }) => (session === undefined ? [] : [encodeSession(session)]));
  await db.collection("sessions").insertMany(documents as object[], { ordered: false });
  const opened = families.flatMap(({ session }) =>
    (session?.entity.incarnation ?? 0) > 0 ? [session?.entity as Session] : [],
  );
  if (opened.length > 0) await db.collection("beats").insertMany(opened.map(beatOf) as object[], { ordered: false });
  const projections = new MongoProjections(db);
  await projections.createMark(projectId, { epoch, logStart: 1 }, new Date(start).toISOString());
  await projections.raiseMarks([{ projectId, from: 1, to: total }]);
  await new MongoCounts(db).write(new Map([[projectId, { epoch, seq: total, counts }]]));
}

/** What its agent said last. */
function beatOf({ project_id, session_id, incarnation, updated_at }: Session): BeatDocument {
  const at = new Date(updated_at);
  const heartbeat = { progress: 0.5, activity: "running the tests of the package" };
  return {
    _id: sessionKey(project_id, session_id),
    hub_id: HUB_ID,
    incarnation,
    last_heartbeat_at: at,
    last_activity_at: at,
    heartbeat,
  };
}

interface Step {
  readonly projectId: string;
  readonly session: number;
  readonly versions: number;
  readonly seq: number;
  readonly at: string;
  /** Of a project whose sessions all live. */
  readonly isLive: boolean;
}

const LIVE = ["ACTIVE", "IDLE", "WAITING", "PAUSED"] as const;

/** The next change of a session: created, then steps, at last its end. */
function changeOf(before: Session | undefined, step: Step): LogChange {
  const { session, versions, seq, at } = step;
  const isLive = step.isLive || session % 50 === 0;
  const id = seedSession(session);
  const head = { seq, kind: "session", id, session_id: id, version: (before?.version ?? 0) + 1 } as const;
  if (before === undefined) {
    const actor = { kind: "operator", id: "key:5eed5eed" } as const;
    return { ...head, type: "created", actor, state: newSession(step, isLive) } as LogChange;
  }
  const agent = { actor: { kind: "agent", id: `agent-${session % MACHINES}` }, incarnation: before.incarnation };
  const isLast = head.version === versions;
  const wish = isLast && !isLive ? endOf(session, at) : stepOf(head.version, session, isLast);
  const was: Standing = standingOf(before);
  const moves = "status" in wish.patch || "liveness" in wish.patch;
  return { ...head, ...agent, op: head.version - 1, ...wish, ...(moves ? { was } : {}) } as LogChange;
}

function newSession({ projectId, session, seq, at }: Step, isLive: boolean): Session {
  return {
    session_id: seedSession(session),
    project_id: projectId,
    status: LIVE[session % 4] === "WAITING" ? "ACTIVE" : (LIVE[session % 4] ?? "ACTIVE"),
    liveness: isLive ? "unmonitored" : "online",
    machine_id: `m-${session % MACHINES}`,
    agent_id: `agent-${session % MACHINES}`,
    hub_id: HUB_ID,
    environment: session % 50 === 7 ? "test" : session % 12 === 5 ? "staging" : "production",
    metadata: { branch: `feature-${session % 97}`, note: "seeded for a bench, about as large as what agents tell" },
    incarnation: isLive ? 0 : 1,
    created_at: at,
    updated_at: at,
    version: 1,
    seq,
  };
}

function stepOf(
  version: number,
  session: number,
  isLast: boolean,
): { readonly type: string; readonly patch: JsonObject } {
  // One in a hundred came back from being lost once or more.
  const recovery = isLast && session % 100 === 0 ? { recovery_attempts: 1 + (session % 7) } : {};
  return { type: "updated", patch: { metadata: { step: version, tokens: version * 1_000 + session, ...recovery } } };
}

function endOf(session: number, at: string): { readonly type: string; readonly patch: JsonObject } {
  if (session % 101 === 3) return { type: "liveness", patch: { liveness: "lost", lost_at: at } };
  const status = session % 13 === 0 ? "FAILED" : session % 37 === 0 ? "CANCELLED" : "COMPLETED";
  return { type: "ended", patch: { status, liveness: "ended", ended_at: at } };
}
