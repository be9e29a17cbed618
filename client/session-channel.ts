import { isFinal, SessionStatus } from "../shared/entities.ts";
import { jsonBytes } from "../shared/json.ts";
import type { Limits } from "../shared/limits.ts";
import type { Edit, Published } from "../shared/messages/changes-publish.ts";
import type { Fenced, SessionChanged } from "../shared/messages/notices.ts";
import type { SessionOpened, SessionOpenInput } from "../shared/messages/session-open.ts";
import { ENVELOPE_BYTES, tooLarge } from "./check-input.ts";
import type { Connection } from "./connection.ts";
import { isWorthRetrying, StateHubError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import { answerFor, type Batch, type Entry, type EntryContent, isEnd, type Outbox } from "./outbox.ts";
import type { Proof } from "./spool.ts";

/** With these the hub may have applied what it was asked. */
const UNKNOWN_OUTCOME: ReadonlySet<string> = new Set(["UNAVAILABLE", "TIMEOUT", "INTERNAL"]);

/** How often an `INTERNAL` is asked again before it counts as the answer. */
const INTERNAL_ATTEMPTS = 5;

export interface ChannelOwner {
  limits(): Limits;
  opened(opened: SessionOpened): void;
  /** No longer open on the connection; it will be again. */
  closed(): void;
  changed(change: SessionChanged): void;
  /** The hub has applied these edits of this agent, before their callers are told. */
  applied(edits: readonly Edit[], published: Published): void;
  /** Someone else owns the session, or it has ended; the channel has stopped. */
  fenced(fenced: Fenced): void;
  /** By this agent itself; the channel has stopped. */
  ended(): void;
  /** The session cannot be opened at all; the channel has stopped. */
  failed(error: StateHubError): void;
  /** The hub has answered everything that was given to the channel. */
  drained(): void;
}

/** What was taken from the outbox and has no final answer yet; its op and content never change. */
interface InFlight {
  readonly batch: Batch;
  readonly op: number;
  /** Sent, and no answer has told yet whether it was applied. */
  maybeApplied: boolean;
  attempts: number;
}

/** Where an earlier process stood. */
interface Left {
  readonly proof: Proof | undefined;
  readonly inFlight: { readonly batch: Batch; readonly op: number } | undefined;
}

/**
 * One session on an agent's connection: opens it, opens it again on every new link with the proof of the first time,
 * and brings the outbox to the hub, one publish at a time, exactly once each.
 */
export class SessionChannel {
  readonly #connection: Connection;
  readonly #owner: ChannelOwner;
  readonly #spec: SessionOpenInput;
  readonly #outbox: Outbox;
  readonly #journal: Journal;
  #proof: Proof | undefined;
  #lastOp = 0;
  #inFlight: InFlight | undefined;
  /** Opened also when nothing waits. */
  #isWanted = false;
  /** Open on the present link. */
  #isOpen = false;
  /** A request to open is under way on the present link. */
  #isOpening = false;
  #isAnswerPending = false;
  /** Callers are being told; what they publish in return has to wait for its turn. */
  #isSettling = false;
  #openAttempts = 0;
  /** Told by the hub while an answer was still pending: takes effect with that answer. */
  #fencing: Fenced | undefined;
  #stopped: StateHubError | undefined;

  constructor(
    connection: Connection,
    spec: SessionOpenInput,
    outbox: Outbox,
    journal: Journal,
    owner: ChannelOwner,
    left?: Left,
  ) {
    this.#connection = connection;
    this.#spec = spec;
    this.#outbox = outbox;
    this.#journal = journal;
    this.#owner = owner;
    this.#proof = left?.proof;
    if (left?.inFlight !== undefined) {
      const { batch, op } = left.inFlight;
      this.#lastOp = op;
      this.#inFlight = { batch, op, maybeApplied: true, attempts: 0 };
    }
  }

  get sessionId(): string {
    return this.#spec.session_id;
  }

  /** 0 until the session is open. */
  get incarnation(): number {
    return this.#proof?.incarnation ?? 0;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get undelivered(): number {
    return this.#outbox.count + (this.#inFlight?.batch.entries.length ?? 0);
  }

  /** Neither open nor given up: the agent is not ready before it is. */
  get isAwaited(): boolean {
    return this.#stopped === undefined && !this.#isOpen && this.#isNeeded;
  }

  /** From now on open, whether or not anything waits. */
  want(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#open();
  }

  add(entry: Entry): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#journal.taken(entry);
    this.#outbox.add(entry);
    this.#pump();
  }

  overwrite(entry: Entry, content: EntryContent): void {
    const { id, alone, latest } = entry;
    this.#journal.taken({ id, content, alone, latest });
    this.#outbox.overwrite(entry, content);
  }

  linked(): void {
    this.#openAttempts = 0;
    if (this.#isNeeded) this.#open();
  }

  unlinked(): void {
    this.#isOpening = false;
    this.#isAnswerPending = false;
    if (this.#fencing !== undefined) this.#endFenced(this.#fencing);
    else this.#close();
  }

  /** Everything without an answer gets this one, and nothing is sent any more. What a spool keeps stays there. */
  leave(error: StateHubError): void {
    this.#stop(error);
  }

  received(event: string, payload: unknown): void {
    const message = payload as { session_id?: unknown };
    if (this.#stopped !== undefined || message.session_id !== this.sessionId) return;
    if (event === "fenced") this.#fence(payload as Fenced);
    if (event === "session") this.#changedByOther(payload as SessionChanged);
  }

  /** The hub does not know this connection as the owner any more: prove it again. */
  reopen(): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#open();
  }

  /** A heartbeat said so. While an answer is pending that answer will say it too, and more exactly. */
  disowned(code: "FENCED" | "NOT_FOUND"): void {
    if (!this.#isOpen || this.#isAnswerPending) return;
    if (code === "NOT_FOUND") this.reopen();
    else this.#fence({ session_id: this.sessionId, incarnation: this.incarnation, reason: "taken" });
  }

  get #isNeeded(): boolean {
    return this.#isWanted || this.undelivered > 0;
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#owner.closed();
  }

  #stop(error: StateHubError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#fencing = undefined;
    this.#isOpen = false;
    const entries = [...(this.#inFlight?.batch.entries ?? []), ...this.#outbox.takeAll()];
    this.#inFlight = undefined;
    this.#outbox.settle(entries, () => error);
  }

  /** For good: what has no answer now will never have one. */
  #finish(error: StateHubError): void {
    this.#stop(error);
    this.#journal.over();
  }

  #open(): void {
    if (this.#isOpen || this.#isOpening || this.#stopped !== undefined || !this.#connection.isLinked) return;
    this.#isOpening = true;
    // A takeover is meant once: after a loss of the link it would take the session back from a newer owner.
    const request = this.#proof === undefined ? this.#spec : { ...this.#spec, ...this.#proof, takeover: false };
    this.#connection.request<SessionOpened>("session:open", request, (answer) => {
      this.#isOpening = false;
      if (answer instanceof StateHubError) this.#notOpened(answer);
      else this.#opened(answer);
    });
  }

  #opened(opened: SessionOpened): void {
    const isNewIncarnation = opened.incarnation !== this.#proof?.incarnation;
    this.#proof = { incarnation: opened.incarnation, token: opened.token };
    this.#openAttempts = 0;
    this.#isOpen = true;
    if (isNewIncarnation) {
      this.#startOpsAgain(opened.last_op);
      // Before anything is sent that only this proof can settle.
      this.#journal.owned(this.#proof);
    } else this.#continueOps(opened);
    this.#owner.opened(opened);
    this.#next();
  }

  /** Ops of the old incarnation can no longer be asked for, so what was sent under it stays unknown. */
  #startOpsAgain(lastOp: number): void {
    const inFlight = this.#inFlight;
    this.#lastOp = lastOp;
    if (inFlight === undefined) return;
    this.#inFlight = undefined;
    if (inFlight.maybeApplied) {
      const error = unknownOutcome("the session was opened anew before the hub answered");
      this.#settle(inFlight, () => error);
    } else {
      this.#putBackAlone(inFlight);
    }
  }

  #continueOps(opened: SessionOpened): void {
    this.#lastOp = Math.max(this.#lastOp, opened.last_op);
    const inFlight = this.#inFlight;
    if (inFlight === undefined || inFlight.op >= opened.last_op) return;
    // A spool that lost its end with the machine: later ops are sent only when the earlier ones have been answered.
    this.#inFlight = undefined;
    const { epoch, seq } = opened;
    this.#settle(inFlight, () => ({ epoch, seq, results: [], duplicate: true }));
  }

  #notOpened(error: StateHubError): void {
    if (isWorthRetrying(error)) {
      this.#openAttempts += 1;
      this.#connection.afterOnLink(this.#connection.retryPauseMs(this.#openAttempts, error), () => this.#open());
      return;
    }
    const reason = this.#proof === undefined ? undefined : REASON_OF_REFUSED_REOPEN[error.code];
    if (reason === undefined) {
      this.#finish(error);
      this.#owner.failed(error);
      return;
    }
    this.#fencing = { session_id: this.sessionId, incarnation: this.incarnation, reason };
    // The very publish that ended the session may be the one whose answer was lost: hubs answer it even now.
    if (this.#inFlight?.maybeApplied) this.#sendInFlight(this.#inFlight);
    else this.#endFenced(this.#fencing);
  }

  #pump(): void {
    if (!this.#isOpen || this.#isAnswerPending || this.#isSettling || this.#fencing !== undefined) return;
    if (this.#inFlight === undefined) {
      const limits = this.#owner.limits();
      const batch = this.#outbox.take({
        maxChanges: limits.changes_per_publish,
        maxBytes: limits.frame_bytes - ENVELOPE_BYTES,
      });
      if (batch === undefined) return;
      this.#inFlight = { batch, op: this.#lastOp + 1, maybeApplied: false, attempts: 0 };
      this.#journal.sent(this.#inFlight.op, batch);
    }
    this.#sendInFlight(this.#inFlight);
  }

  #sendInFlight(inFlight: InFlight): void {
    const { event, payload } = this.#message(inFlight);
    if (!inFlight.maybeApplied && jsonBytes(payload) + 100 > this.#owner.limits().frame_bytes) {
      // The limits of this hub are tighter than those the publish was checked against.
      this.#answered(inFlight, tooLarge(this.#owner.limits().frame_bytes));
      return;
    }
    const wasMaybeApplied = inFlight.maybeApplied;
    inFlight.maybeApplied = true;
    this.#isAnswerPending = true;
    this.#connection.request<Published>(event, payload, (answer) => {
      this.#isAnswerPending = false;
      if (answer instanceof StateHubError && !UNKNOWN_OUTCOME.has(answer.code)) {
        inFlight.maybeApplied = wasMaybeApplied;
      }
      this.#answered(inFlight, answer);
    });
  }

  #message({ batch: { content }, op }: InFlight): { event: string; payload: object } {
    const head = { session_id: this.sessionId, incarnation: this.incarnation, op };
    if (content.kind === "publish") return { event: "changes:publish", payload: { ...head, changes: content.edits } };
    const { status, metadata } = content;
    return {
      event: "session:close",
      payload: metadata === undefined ? { ...head, status } : { ...head, status, metadata },
    };
  }

  #answered(inFlight: InFlight, answer: Published | StateHubError): void {
    if (this.#inFlight !== inFlight) return;
    if (!(answer instanceof StateHubError)) this.#applied(inFlight, answer);
    else if (this.#fencing !== undefined) this.#endFenced(this.#fencing);
    else if (answer.code === "NOT_FOUND" && this.#isOpen && inFlight.attempts < INTERNAL_ATTEMPTS) {
      // Also the answer for a session that this connection has not opened; opening it again tells which.
      this.#again(inFlight, answer, () => this.reopen());
    } else if (answer.code === "FENCED") {
      this.#endFenced({ session_id: this.sessionId, incarnation: this.incarnation, reason: "taken" });
    } else if (this.#shouldAskAgain(inFlight, answer)) this.#again(inFlight, answer, () => this.#pump());
    else this.#refused(inFlight, answer);
  }

  #shouldAskAgain(inFlight: InFlight, error: StateHubError): boolean {
    return error.retryable || (error.code === "INTERNAL" && inFlight.attempts < INTERNAL_ATTEMPTS);
  }

  /** The very same op and content: whether or not the hub had applied it, it is applied once. */
  #again(inFlight: InFlight, error: StateHubError, ask: () => void): void {
    inFlight.attempts += 1;
    // Until then nothing else goes out.
    this.#isAnswerPending = true;
    this.#connection.afterOnLink(this.#connection.retryPauseMs(inFlight.attempts, error), () => {
      this.#isAnswerPending = false;
      if (this.#fencing === undefined) ask();
      else this.#sendInFlight(inFlight);
    });
  }

  #applied(inFlight: InFlight, published: Published): void {
    this.#inFlight = undefined;
    this.#lastOp = inFlight.op;
    const { content } = inFlight.batch;
    this.#owner.applied(editsOf(content), published);
    this.#settle(inFlight, (entry) => answerFor(entry, published, this.sessionId));
    if (isEnd(content)) {
      this.#finish(new StateHubError("CLOSED", `session ${this.sessionId} has ended`));
      this.#owner.ended();
    } else if (this.#fencing !== undefined) this.#endFenced(this.#fencing);
    else this.#next();
  }

  #refused(inFlight: InFlight, error: StateHubError): void {
    this.#inFlight = undefined;
    // An unknown outcome may have used the op up; a refusal has not.
    if (error.code === "INTERNAL") this.#lastOp = inFlight.op;
    if (inFlight.batch.entries.length > 1 && error.code !== "INTERNAL") {
      this.#putBackAlone(inFlight);
      this.#next();
      return;
    }
    this.#settle(inFlight, () => error);
    if (tellsEndedSession(error, inFlight.batch.content)) {
      this.#endFenced({ session_id: this.sessionId, incarnation: this.incarnation, reason: "ended" });
    } else this.#next();
  }

  #settle(inFlight: InFlight, outcomeOf: (entry: Entry) => Published | StateHubError): void {
    this.#isSettling = true;
    this.#outbox.settle(inFlight.batch.entries, outcomeOf);
    this.#journal.answered();
    this.#isSettling = false;
  }

  #putBackAlone(inFlight: InFlight): void {
    this.#outbox.putBackAlone(inFlight.batch);
    this.#journal.returned();
  }

  #next(): void {
    this.#pump();
    if (this.undelivered === 0) this.#owner.drained();
  }

  #fence(fenced: Fenced): void {
    this.#fencing ??= fenced;
    // With an answer under way, that answer is still worth having.
    if (!(this.#isAnswerPending && this.#inFlight?.maybeApplied)) this.#endFenced(this.#fencing);
  }

  #endFenced(fenced: Fenced): void {
    this.#fencing = undefined;
    const inFlight = this.#inFlight;
    const error = fencedError(fenced);
    if (inFlight?.maybeApplied) {
      this.#inFlight = undefined;
      const unknown = unknownOutcome(error.message);
      this.#settle(inFlight, () => unknown);
    }
    this.#finish(error);
    this.#owner.fenced(fenced);
  }

  #changedByOther(change: SessionChanged): void {
    this.#owner.changed(change);
    const status = SessionStatus.safeParse(change.patch.status);
    if (status.success && isFinal(status.data)) {
      this.#fence({ session_id: this.sessionId, incarnation: this.incarnation, reason: "ended" });
    }
  }
}

/** What a hub's "no" means to someone who held the session before. */
const REASON_OF_REFUSED_REOPEN: Readonly<Record<string, Fenced["reason"]>> = {
  ALREADY_OWNED: "taken",
  FENCED: "taken",
  INVALID_TRANSITION: "ended",
};

/** A final `from` may be a task's; then the hub's `fenced` notice tells. With session edits alone there is no doubt. */
function tellsEndedSession(error: StateHubError, content: EntryContent): boolean {
  const from = SessionStatus.safeParse(error.details?.from);
  if (error.code !== "INVALID_TRANSITION" || !from.success || !isFinal(from.data)) return false;
  return content.kind === "close" || content.edits.every((edit) => edit.kind === "session");
}

function editsOf(content: EntryContent): readonly Edit[] {
  if (content.kind === "publish") return content.edits;
  const { status, metadata } = content;
  return [{ kind: "session", status, ...(metadata === undefined ? {} : { metadata }) }];
}

export function fencedError(fenced: Fenced): StateHubError {
  return new StateHubError(
    "FENCED",
    fenced.reason === "taken"
      ? `session ${fenced.session_id} is now owned by a newer agent`
      : `session ${fenced.session_id} has ended`,
    { details: { reason: fenced.reason } },
  );
}

function unknownOutcome(why: string): StateHubError {
  return new StateHubError("FENCED", `outcome unknown: ${why}`, { details: { outcome: "unknown" } });
}
