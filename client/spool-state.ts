import type { Proof, SpooledEntry, SpooledSession, SpoolRecord } from "./spool.ts";

/** What the records of a spool add up to. Pure: reading a file, and writing it anew, are the same few rules. */
export class SpoolState {
  #agentId: string | undefined;
  readonly #sessions = new Map<string, Session>();

  get agentId(): string | undefined {
    return this.#agentId;
  }

  get sessions(): ReadonlyMap<string, SpooledSession> {
    return this.#sessions;
  }

  /** Throws where the record cannot follow those before it. */
  apply(record: SpoolRecord): void {
    if (record.type === "agent") this.#agentId = record.agent_id;
    else if (record.type === "session") this.#sessions.set(record.spec.session_id, newSession(record.spec));
    else if (record.type === "over") this.#sessions.delete(record.session);
    else {
      const session = this.#sessions.get(record.session);
      if (session === undefined) throw new Error(`session ${record.session} is not there`);
      applyToSession(session, record);
    }
  }

  /** The fewest records that lead to this state. */
  *records(): Generator<SpoolRecord> {
    if (this.#agentId !== undefined) yield { type: "agent", agent_id: this.#agentId };
    for (const [session, { spec, proof, queue, inFlight }] of this.#sessions) {
      yield { type: "session", spec };
      if (proof !== undefined) yield { type: "owned", session, ...proof };
      if (inFlight !== undefined) {
        const { op, entries, content } = inFlight;
        for (const entry of entries) yield { type: "taken", session, ...entry };
        yield { type: "sent", session, op, entries: entries.length, ...(entries.length === 1 ? {} : { content }) };
      }
      for (const entry of queue.values()) yield { type: "taken", session, ...entry };
    }
  }
}

interface Session extends SpooledSession {
  proof: Proof | undefined;
  /** Setting an id that is there keeps its place. */
  queue: Map<number, SpooledEntry>;
  inFlight: SpooledSession["inFlight"];
}

function newSession(spec: SpooledSession["spec"]): Session {
  return { spec, proof: undefined, queue: new Map(), inFlight: undefined };
}

function applyToSession(session: Session, record: Exclude<SpoolRecord, { type: "agent" | "session" | "over" }>): void {
  switch (record.type) {
    case "owned":
      session.proof = { incarnation: record.incarnation, token: record.token };
      return;
    case "taken": {
      const { id, content, alone, latest } = record;
      session.queue.set(id, { id, content, alone, latest });
      return;
    }
    case "sent": {
      const entries = firstOf(session.queue, record.entries);
      const content = record.content ?? entries[0]?.content;
      if (session.inFlight !== undefined) throw new Error("a second publish was sent before the first was answered");
      if (content === undefined || entries.length < record.entries) throw new Error("what was sent had not been taken");
      for (const entry of entries) session.queue.delete(entry.id);
      session.inFlight = { op: record.op, content, entries };
      return;
    }
    case "returned": {
      const entries = (session.inFlight?.entries ?? []).map((entry) => ({ ...entry, alone: true }));
      session.queue = new Map([...entries, ...session.queue.values()].map((entry) => [entry.id, entry]));
      session.inFlight = undefined;
      return;
    }
    case "answered":
      session.inFlight = undefined;
  }
}

function firstOf(queue: ReadonlyMap<number, SpooledEntry>, count: number): SpooledEntry[] {
  const entries: SpooledEntry[] = [];
  for (const entry of queue.values()) {
    if (entries.length === count) break;
    entries.push(entry);
  }
  return entries;
}
