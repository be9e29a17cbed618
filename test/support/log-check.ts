import { mongo } from "mongoose";
import type { EntryDocument, SessionDocument, TaskDocument } from "../../server/mongo/codec.ts";
import type { Stage } from "./test-hub.ts";

/** What MongoDB really holds, read past the hub. */
export class Database {
  readonly #client: mongo.MongoClient;

  constructor(client: mongo.MongoClient) {
    this.#client = client;
  }

  get db(): mongo.Db {
    return this.#client.db();
  }

  entries(projectId: string): Promise<EntryDocument[]> {
    return this.db.collection<EntryDocument>("log").find({ "_id.p": projectId }).sort({ "_id.s": 1 }).toArray();
  }

  session(projectId: string, sessionId: string): Promise<SessionDocument | null> {
    return this.db.collection<SessionDocument>("sessions").findOne({ _id: `${projectId}/${sessionId}` });
  }

  tasks(projectId: string): Promise<TaskDocument[]> {
    return this.db.collection<TaskDocument>("tasks").find({ project_id: projectId }).sort({ _id: 1 }).toArray();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

export async function openDatabase(stage: Stage, uri: string): Promise<Database> {
  const database = new Database(await mongo.MongoClient.connect(uri));
  return stage.add(database, (open) => open.close());
}

const MOST_FAILURES = 10;

/**
 * Reads the log of any number of projects, entries of each in their order, and says what is wrong: holes and doubles in
 * the numbers of changes and versions, another epoch, an op that is not there once and whole.
 */
export class LogCheck {
  readonly failures: string[] = [];
  /** Hubs that have an entry. */
  readonly writers = new Set<string>();
  readonly #heads = new Map<string, { seq: number; readonly epoch: string }>();
  readonly #versions = new Map<string, number>();
  /** Ops of a session in the order in which the log has them. */
  readonly #ops = new Map<string, number[]>();

  add({ _id: { p: project, s: fromSeq }, to_seq, epoch, hub_id, changes }: EntryDocument): void {
    const head = this.#heads.get(project) ?? { seq: 0, epoch };
    this.#heads.set(project, head);
    this.writers.add(hub_id);
    if (fromSeq !== head.seq + 1) this.#fail(`${project}: entry ${fromSeq} follows ${head.seq}`);
    if (epoch !== head.epoch) this.#fail(`${project}: entry ${fromSeq} is of another epoch`);
    head.seq = fromSeq - 1;
    const inThisEntry = new Set<string>();
    for (const change of changes) {
      head.seq += 1;
      if (change.seq !== head.seq) this.#fail(`${project}: change ${change.seq} stands where ${head.seq} should be`);
      const entity = `${project}/${change.session_id}/${change.kind}/${change.id}`;
      const version = (this.#versions.get(entity) ?? 0) + 1;
      if (change.version !== version) this.#fail(`${entity}: version ${change.version} follows ${version - 1}`);
      this.#versions.set(entity, change.version);
      if (change.op === undefined) continue;
      const op = `${project}/${change.session_id} ${change.incarnation}`;
      if (inThisEntry.has(`${op} ${change.op}`)) continue;
      inThisEntry.add(`${op} ${change.op}`);
      const ops = this.#ops.get(op) ?? [];
      this.#ops.set(op, ops);
      ops.push(change.op);
    }
    if (head.seq !== to_seq) this.#fail(`${project}: entry ${fromSeq} ends at ${head.seq}, not ${to_seq}`);
    head.seq = to_seq;
  }

  /** Ops 1 to `upTo` were acked to an owner of a session; the next one may be in the log without an ack. */
  acked(project: string, sessionId: string, upTo: number, incarnation = 1): void {
    const ops = this.#ops.get(`${project}/${sessionId} ${incarnation}`) ?? [];
    const isInOrder = ops.every((op, index) => op === index + 1);
    if (!isInOrder) this.#fail(`${project}/${sessionId}: ops are not there once each, in order: ${ops.join(" ")}`);
    if (ops.length < upTo) this.#fail(`${project}/${sessionId}: op ${upTo} was acked, the log ends at ${ops.length}`);
    if (ops.length > upTo + 1) this.#fail(`${project}/${sessionId}: ${ops.length} ops, only ${upTo} were published`);
  }

  headOf(project: string): number {
    return this.#heads.get(project)?.seq ?? 0;
  }

  #fail(failure: string): void {
    if (this.failures.length < MOST_FAILURES) this.failures.push(failure);
  }
}
