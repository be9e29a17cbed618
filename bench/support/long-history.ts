import { BOUNDS } from "../../server/bounds.ts";
import type { Command } from "../../server/domain/commands.ts";
import { decide } from "../../server/domain/decide.ts";
import { type Entry, Family, type Head, type LogChange } from "../../server/domain/records.ts";
import { MongoChangeLog } from "../../server/mongo/change-log.ts";
import { connectMongo } from "../../server/mongo/connection.ts";
import { databaseOf } from "../../server/mongo/database.ts";
import { prepareDatabase } from "../../server/mongo/prepare-database.ts";
import { MongoProjections } from "../../server/mongo/projections.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
const BEGIN = Date.parse("2026-01-01T00:00:00.000Z");
const EPOCH = "00000000000000aa";
/** Entries of one insert. */
const BATCH = 500;

interface Wish {
  readonly projectId: string;
  readonly sessions: number;
  readonly changes: number;
  /** Changes that were committed together. */
  readonly perEntry: number;
}

export const sessionName = (index: number) => `session-${index}`;

/** Writes a project's log, documents and mark as hubs would have left them: agents that report now and then, at random. */
export async function writeHistory(uri: string, wish: Wish): Promise<Head> {
  const connection = await connectMongo({ uri, maxPoolSize: 4, minPoolSize: 0 }, QUIET, { onPrimaryChange: () => {} });
  const db = databaseOf(connection);
  await prepareDatabase(connection, QUIET, { isAlone: true });
  const changeLog = new MongoChangeLog(db, QUIET);
  const projections = new MongoProjections(db);
  const families = new Map<string, Family>();
  let head: Head = { epoch: EPOCH, seq: 0, at: new Date(BEGIN).toISOString() };
  let entries: Entry[] = [];
  while (head.seq < wish.changes) {
    const entry = nextEntry(families, head, wish);
    entries.push(entry);
    head = { epoch: EPOCH, seq: entry.to_seq, at: entry.at };
    if (entries.length < BATCH && head.seq < wish.changes) continue;
    await db.collection<object>("log").insertMany(entries.map(asDocument));
    entries = [];
  }
  const all = [...families.values()];
  const sessions = all.flatMap(({ session }) => (session === undefined ? [] : [session]));
  await projections.write({ sessions, tasks: all.flatMap(({ tasks }) => [...tasks.values()]) });
  await projections.createMark(wish.projectId, { epoch: EPOCH, logStart: 1 }, new Date(BEGIN).toISOString());
  await projections.raiseMarks([{ projectId: wish.projectId, from: 1, to: head.seq }]);
  await projections.settle();
  const written = await changeLog.readHead(wish.projectId);
  await connection.close();
  if (written?.seq !== head.seq) throw new Error("the history was not written");
  return head;
}

function nextEntry(families: Map<string, Family>, head: Head, { projectId, sessions, perEntry }: Wish): Entry {
  const at = new Date(Date.parse(head.at) + 250).toISOString();
  const changes: LogChange[] = [];
  while (changes.length < perEntry) {
    const sessionId = sessionName(families.size < sessions ? families.size : Math.floor(Math.random() * sessions));
    const family = families.get(sessionId) ?? new Family();
    families.set(sessionId, family);
    const decision = decide(commandFor(projectId, sessionId, family), family, {
      head,
      nextSeq: head.seq + changes.length + 1,
      at,
      hubId: "bench.0",
      limits: DEFAULT_LIMITS,
      stateEveryVersions: BOUNDS.stateEveryVersions,
    });
    if (decision.kind === "refused") throw new Error(decision.refusal.message);
    if (decision.session !== undefined) family.session = decision.session;
    for (const record of decision.tasks) family.tasks.set(record.entity.task_id, record);
    changes.push(...decision.changes);
  }
  const from_seq = head.seq + 1;
  const to_seq = head.seq + changes.length;
  return { project_id: projectId, from_seq, to_seq, epoch: EPOCH, hub_id: "bench.0", at, changes };
}

function commandFor(projectId: string, sessionId: string, family: Family): Command {
  const actor = { kind: "operator", id: "key:00000000" } as const;
  const cause = { session_id: sessionId, actor, request_id: "bench" };
  if (family.session === undefined) {
    const metadata = { branch: "main", goal: "find out how long it takes to know what was" };
    return { type: "create", project_id: projectId, machine_id: "machine-1", metadata, ...cause };
  }
  const step = family.session.entity.version;
  return { type: "edit", edits: [{ kind: "session", metadata: { step, note: `step ${step} is done` } }], ...cause };
}

function asDocument({ project_id, from_seq, at, ...entry }: Entry): object {
  return { _id: { p: project_id, s: from_seq }, ...entry, at: new Date(at) };
}
