import type { Edit } from "../../shared/messages/changes-publish.ts";
import { type FakeLink, refusal } from "./fake-link.ts";

interface SimSession {
  readonly agentId: string;
  incarnation: number;
  lastOp: number;
  isFinal: boolean;
  /** Where it is open. */
  link: FakeLink | undefined;
  /** Every publish that was applied, in order. */
  readonly applied: Edit[][];
}

interface Request {
  readonly session_id: string;
  readonly incarnation: number;
  readonly op: number;
  readonly token?: string;
  readonly changes?: Edit[];
  readonly status?: string;
}

/** What hubs promise agents ([O6] to [O18], [P11] to [P22]), without anything behind it. */
export class SimAgentsHub {
  readonly sessions = new Map<string, SimSession>();
  /** Messages of each link that were handled. */
  readonly #handled = new WeakMap<FakeLink, number>();

  /** The next message of the link that waits for an ack, applied; answers how to deliver the ack, or undefined. */
  handleNext(link: FakeLink): (() => void) | undefined {
    const next = this.#handled.get(link) ?? 0;
    const sent = link.sent[next];
    if (sent === undefined) return undefined;
    this.#handled.set(link, next + 1);
    const ack = this.#ack(link, sent.event, sent.payload as Request);
    return () => sent.answer?.(ack);
  }

  handledOf(link: FakeLink): number {
    return this.#handled.get(link) ?? 0;
  }

  /** Of one entity, the numbers that it was given (`metadata.k<number>`), in the order in which they were applied. */
  numbers(sessionId: string): Map<string, number[]> {
    const numbers = new Map<string, number[]>();
    for (const edit of this.sessions.get(sessionId)?.applied.flat() ?? []) {
      const entity = edit.kind === "task" ? edit.task_id : "session";
      const added = Object.values(edit.metadata ?? {}) as number[];
      numbers.set(entity, [...(numbers.get(entity) ?? []), ...added]);
    }
    return numbers;
  }

  #ack(link: FakeLink, event: string, request: Request): object {
    if (event === "heartbeat") return { ok: true };
    if (event === "session:open") return this.#open(link, request);
    return this.#publish(link, request);
  }

  #open(link: FakeLink, request: Request): object {
    const { session_id, incarnation, token } = request;
    let session = this.sessions.get(session_id);
    const created = session === undefined;
    if (session === undefined) {
      session = { agentId: "a", incarnation: 1, lastOp: 0, isFinal: false, link, applied: [] };
      this.sessions.set(session_id, session);
    }
    if (session.isFinal) return refusal("INVALID_TRANSITION", { details: { from: "COMPLETED", allowed: [] } });
    const resumed =
      !created && token === tokenOf(session_id, session.incarnation) && incarnation === session.incarnation;
    if (!created && !resumed && token !== undefined) return refusal("ALREADY_OWNED");
    if (!created && !resumed) {
      session.incarnation += 1;
      session.lastOp = 0;
    }
    session.link = link;
    return {
      ok: true,
      session: { session_id, project_id: "p", status: "ACTIVE", metadata: {}, version: 1 },
      created,
      resumed,
      incarnation: session.incarnation,
      token: tokenOf(session_id, session.incarnation),
      last_op: session.lastOp,
      epoch: "e",
      seq: 1,
      lease: { interval_ms: 5_000, ttl_ms: 15_000 },
    };
  }

  #publish(link: FakeLink, { session_id, incarnation, op, changes, status }: Request): object {
    const session = this.sessions.get(session_id);
    if (session === undefined) return refusal("NOT_FOUND");
    const answer = { ok: true, epoch: "e", seq: session.applied.length, results: [] };
    if (incarnation === session.incarnation && op === session.lastOp) return { ...answer, duplicate: true };
    if (incarnation < session.incarnation) return refusal("FENCED");
    if (session.isFinal) return refusal("INVALID_TRANSITION", { details: { from: "COMPLETED", allowed: [] } });
    if (session.link !== link || incarnation > session.incarnation) return refusal("NOT_FOUND");
    if (op < session.lastOp) return refusal("VALIDATION");
    // So that shared publishes come back one by one.
    if (changes !== undefined && changes.length > 2) return refusal("VALIDATION");
    session.lastOp = op;
    session.applied.push(changes ?? []);
    if (status !== undefined) session.isFinal = true;
    return answer;
  }
}

function tokenOf(sessionId: string, incarnation: number): string {
  return `token-${sessionId}-${incarnation}`;
}
