import type { FinalStatus, Session, SessionStatus, WaitingRequest } from "../shared/entities.ts";
import { DEFAULT_PROJECT_ID } from "../shared/ids.ts";
import type { JsonObject } from "../shared/json.ts";
import type { Limits } from "../shared/limits.ts";
import type { Edit, Published } from "../shared/messages/changes-publish.ts";
import type { Beat } from "../shared/messages/heartbeat.ts";
import type { Lease } from "../shared/messages/lease.ts";
import type { Fenced, SessionChanged } from "../shared/messages/notices.ts";
import type { SessionOpened, SessionOpenInput } from "../shared/messages/session-open.ts";
import type { BeatInfo, OpenedSession, PublishOptions, SessionEvents, SessionState } from "./agent-types.ts";
import { closeContent, ENVELOPE_BYTES, nextBeat, publishContent } from "./check-input.ts";
import type { Connection } from "./connection.ts";
import { Emitter } from "./emitter.ts";
import { StateHubError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import { KnownSession } from "./known-session.ts";
import { Entry, type EntryContent, type EntryKind, isEnd, Outbox } from "./outbox.ts";
import type { OutboxBudget } from "./outbox-budget.ts";
import { fencedError, SessionChannel } from "./session-channel.ts";
import type { SpooledEntry, SpooledSession } from "./spool.ts";
import { TaskHandle, type TaskOptions, taskIdOf } from "./task-handle.ts";

/** What a session needs of its agent. */
export interface SessionHost {
  readonly connection: Connection;
  readonly budget: OutboxBudget;
  limits(): Limits;
  /** Why nothing may be published any more. */
  refusal(): StateHubError | undefined;
  /** The hub's word with every open. */
  leased(lease: Lease): void;
  /** The session is open, closed for the moment, or over, or is worked on from now on. */
  changed(session: AgentSession): void;
  /** Of an earlier process; its callers are gone. Called before it leaves the spool. */
  undelivered(session: AgentSession, content: EntryContent, error: StateHubError): void;
}

/** What to ask a person besides the question itself. */
export interface WaitingOptions {
  /** Default `input`. */
  readonly kind?: WaitingRequest["kind"];
  /** Answers to choose from, at most 20. */
  readonly options?: readonly string[];
  /** Until when the answer is needed. */
  readonly deadline?: Date | string;
}

/** One session of an agent. May be used at once, whether or not the hub is there; made by `agent.open`. */
export class AgentSession extends Emitter<SessionEvents> {
  readonly sessionId: string;
  readonly projectId: string;
  /** Settles with the first open, or rejects with the reason why there will be none. Using the session need not wait for it. */
  readonly ready: Promise<OpenedSession>;
  readonly #host: SessionHost;
  readonly #channel: SessionChannel;
  readonly #outbox: Outbox;
  readonly #answers = new WeakMap<Entry, Promise<Published>>();
  #onReady: { resolve: (opened: OpenedSession) => void; reject: (error: StateHubError) => void };
  #state: SessionState = { name: "opening" };
  #isWorkedOn = false;
  readonly #isLeftEnding: boolean;
  readonly #known = new KnownSession();
  /** The status of a publish that has no answer yet. */
  #saidStatus: { readonly status: SessionStatus } | undefined;
  #beat: BeatInfo = {};
  #nextEntryId = 1;
  #closing: Promise<Published> | undefined;
  #flushed: (() => void)[] = [];

  /** @internal use `agent.open` */
  constructor(host: SessionHost, spec: SessionOpenInput, journal: Journal, left?: SpooledSession) {
    super();
    this.sessionId = spec.session_id;
    this.projectId = spec.project_id ?? DEFAULT_PROJECT_ID;
    this.#host = host;
    this.#outbox = new Outbox(host.budget);
    this.#onReady = { resolve: () => {}, reject: () => {} };
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = { resolve, reject };
    });
    // Whoever does not wait for it hears of a failure by the `error` event.
    this.ready.catch(() => {});
    const inFlight = left?.inFlight && {
      op: left.inFlight.op,
      batch: { content: left.inFlight.content, entries: left.inFlight.entries.map((entry) => this.#leftEntry(entry)) },
    };
    this.#outbox.readmit(inFlight?.batch.entries ?? []);
    for (const entry of left?.queue.values() ?? []) this.#outbox.add(this.#leftEntry(entry));
    const leftEntries = [...(left?.inFlight?.entries ?? []), ...(left?.queue.values() ?? [])];
    this.#isLeftEnding = leftEntries.some(({ content }) => isEnd(content));
    this.#channel = new SessionChannel(
      host.connection,
      spec,
      this.#outbox,
      journal,
      {
        limits: () => host.limits(),
        opened: (opened) => this.#opened(opened),
        closed: () => this.#enter({ name: "opening" }),
        changed: (change) => this.#changed(change),
        applied: (edits, published) => this.#known.applied(edits, published),
        fenced: (fenced) => this.#fenced(fenced),
        ended: () => this.#over("closed", new StateHubError("CLOSED", `session ${this.sessionId} has ended`)),
        failed: (error) => this.#failed(error),
        drained: () => this.#drained(),
      },
      { proof: left?.proof, inFlight },
    );
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The session as the hub has it, as far as is known here; undefined before the first open. */
  get current(): Session | undefined {
    return this.#known.session;
  }

  /** What this agent said last, or what the hub has, if somebody else changed it since. */
  get status(): SessionStatus | undefined {
    return this.#saidStatus?.status ?? this.current?.status;
  }

  /** Publishes without an answer yet. */
  get undelivered(): number {
    return this.#channel.undelivered;
  }

  /**
   * Changes the session or its tasks, all or none. Settles when the hub says that the change is durable, or rejects with
   * its refusal; in between it survives lost connections, lost answers and restarted hubs, and is applied exactly once.
   * While an earlier publish is under way, waiting ones may be merged into one where that keeps their meaning.
   */
  publish(edits: Edit | readonly Edit[], options: PublishOptions = {}): Promise<Published> {
    const kind = { alone: options.alone ?? false, latest: (options.latest ?? false) && !options.alone };
    return this.#settled(() => {
      if (this.#closing !== undefined) throw new StateHubError("CLOSED", `session ${this.sessionId} is closing`);
      return this.#enqueue(publishContent(edits, this.#host.limits()), kind);
    });
  }

  /** Goes out with the next heartbeats until replaced; the members that are not given keep their last value. */
  beat(info: BeatInfo): void {
    this.#beat = nextBeat(this.#beat, info, this.#host.limits());
  }

  /**
   * At work, and on what: activity and progress go with the heartbeats and are not logged; the status is published only
   * if it is not `ACTIVE`. Settles when the hub has the status, at once when there was nothing to publish.
   */
  working(activity: string, progress?: number): Promise<void> {
    return this.#settled(() => {
      const { progress: _, ...rest } = this.#beat;
      this.#beat = nextBeat(rest, progress === undefined ? { activity } : { activity, progress }, this.#host.limits());
      return this.#say("ACTIVE");
    });
  }

  /** Waits for a person, who sees the question. The status stays `WAITING` until the agent says another. */
  waiting(question: string, { kind = "input", options, deadline }: WaitingOptions = {}): Promise<Published> {
    this.#dropActivity();
    const waiting_for: WaitingRequest = {
      kind,
      question,
      ...(options === undefined ? {} : { options: [...options] }),
      ...(deadline === undefined ? {} : { deadline: deadline instanceof Date ? deadline.toISOString() : deadline }),
    };
    return this.publish({ kind: "session", status: "WAITING", waiting_for }, { latest: true });
  }

  /** Nothing to do. Settles like `working`. */
  idle(): Promise<void> {
    this.#dropActivity();
    return this.#say("IDLE");
  }

  /** Held on purpose. Settles like `working`. */
  paused(): Promise<void> {
    this.#dropActivity();
    return this.#say("PAUSED");
  }

  /**
   * A task of this session, published as begun (or as `options.status` says). The id is made of the title when none is
   * given; a task that exists with that id is continued.
   */
  task(title: string, options: TaskOptions = {}): TaskHandle {
    return new TaskHandle(this, options.id ?? taskIdOf(title), title, options);
  }

  /** Settles when everything published before has its answer, also when that is a refusal or the end. */
  flush(): Promise<void> {
    if (this.#channel.undelivered === 0) return Promise.resolve();
    return new Promise((resolve) => this.#flushed.push(resolve));
  }

  /** Delivers what is still waiting, then ends the session. Nothing can be published after it. */
  close(status: FinalStatus = "COMPLETED", metadata?: JsonObject): Promise<Published> {
    if (this.#closing !== undefined) return this.#closing;
    const closing = this.#settled(() => {
      const content = closeContent(status, metadata, this.#host.limits());
      return this.#enqueue(content, { alone: true, latest: false });
    });
    if (this.#state.name === "over") return closing;
    this.#closing = closing;
    // Refused (metadata too large, say): the session is still open, and may be closed once more.
    closing.catch(() => {
      this.#closing = undefined;
    });
    return closing;
  }

  /** @internal of an earlier process, and nobody has opened it in this one */
  get isLeft(): boolean {
    return !this.#isWorkedOn;
  }

  /** @internal the agent's program works on it: it is opened, and heartbeats speak for it */
  work(): void {
    this.#isWorkedOn = true;
    this.#channel.want();
    if (this.#state.name === "open") this.#host.changed(this);
  }

  /** @internal */
  get isAwaited(): boolean {
    return this.#channel.isAwaited;
  }

  /** @internal takes up room on the connection */
  get isLive(): boolean {
    return this.#state.name === "open" || this.#channel.isAwaited;
  }

  /** @internal an end is on its way: given by this process or by the one before */
  get isEnding(): boolean {
    return this.#closing !== undefined || this.#isLeftEnding;
  }

  /** @internal what the next heartbeat says; nobody vouches for a session that no program works on */
  currentBeat(): Beat | undefined {
    if (!this.#isWorkedOn || !this.#channel.isOpen) return undefined;
    return { session_id: this.sessionId, incarnation: this.#channel.incarnation, ...this.#beat } as Beat;
  }

  /** @internal */
  linked(): void {
    this.#channel.linked();
  }

  /** @internal */
  unlinked(): void {
    this.#channel.unlinked();
  }

  /** @internal */
  received(event: string, payload: unknown): void {
    this.#channel.received(event, payload);
  }

  /** @internal a heartbeat was not taken for it */
  disowned(code: "FENCED" | "NOT_FOUND"): void {
    this.#channel.disowned(code);
  }

  /** @internal the agent stops and the session stays as it is */
  leave(error: StateHubError): void {
    this.#channel.leave(error);
    this.#over("left", error);
  }

  /** Errors as rejections, and as events for those who do not wait: a report must not end the program. */
  #settled<T>(take: () => Promise<T>): Promise<T> {
    try {
      return take();
    } catch (error) {
      if (error instanceof StateHubError) this.#tellError(error);
      const rejected = Promise.reject<T>(error);
      rejected.catch(() => {});
      return rejected;
    }
  }

  #enqueue(content: EntryContent, kind: EntryKind): Promise<Published> {
    const refusal = this.#state.name === "over" ? this.#state.error : this.#host.refusal();
    if (refusal !== undefined) throw refusal;
    const answer = (kind.latest ? this.#overwrite(content) : undefined) ?? this.#append(content, kind);
    const status = statusIn(content);
    if (status !== undefined) this.#remember(status, answer);
    return answer;
  }

  #overwrite(content: EntryContent): Promise<Published> | undefined {
    const { changes_per_publish: maxChanges, frame_bytes } = this.#host.limits();
    const found = this.#outbox.overwritable(content, { maxChanges, maxBytes: frame_bytes - ENVELOPE_BYTES });
    const answer = found && this.#answers.get(found.entry);
    if (found === undefined || answer === undefined) return undefined;
    this.#assertRoom(0, found.bytes - found.entry.bytes);
    this.#channel.overwrite(found.entry, found.content);
    return answer;
  }

  #append(content: EntryContent, kind: EntryKind): Promise<Published> {
    let settle: (outcome: Published | StateHubError) => void = () => {};
    const answer = new Promise<Published>((resolve, reject) => {
      settle = (outcome) => {
        if (!(outcome instanceof StateHubError)) return resolve(outcome);
        this.#tellError(outcome);
        reject(outcome);
      };
    });
    answer.catch(() => {});
    const entry = new Entry(this.#nextEntryId, content, kind, settle);
    // An end frees room, and there is one a session.
    if (content.kind !== "close") this.#assertRoom(1, entry.bytes);
    this.#channel.add(entry);
    this.#nextEntryId += 1;
    this.#answers.set(entry, answer);
    return answer;
  }

  #leftEntry({ id, content, alone, latest }: SpooledEntry): Entry {
    this.#nextEntryId = Math.max(this.#nextEntryId, id + 1);
    return new Entry(id, content, { alone, latest }, (outcome) => {
      if (outcome instanceof StateHubError) this.#host.undelivered(this, content, outcome);
    });
  }

  #assertRoom(publishes: number, bytes: number): void {
    const { budget, connection } = this.#host;
    if (budget.hasRoomFor(publishes, bytes)) return;
    const { depth } = budget;
    throw new StateHubError(
      "OUTBOX_FULL",
      `${depth.publishes} publishes (${depth.bytes} bytes) wait for the hub, which is ${connection.isLinked ? "slow" : "away"}: ` +
        "this one was not taken. Wait for earlier ones, report less often, or publish with `latest`",
      { details: { ...depth } },
    );
  }

  /** Nobody needs to be told that what they closed themselves is closed. */
  #tellError(error: StateHubError): void {
    if (error.code !== "CLOSED") this.emit("error", error);
  }

  #say(status: SessionStatus): Promise<void> {
    // Before the first open nobody knows what the hub has; saying it once more changes nothing there.
    if (this.status === status) return Promise.resolve();
    const answer = this.publish({ kind: "session", status }, { latest: true }).then(() => {});
    answer.catch(() => {});
    return answer;
  }

  #remember(status: SessionStatus, answer: Promise<Published>): void {
    const said = { status };
    this.#saidStatus = said;
    const forget = () => {
      if (this.#saidStatus === said) this.#saidStatus = undefined;
    };
    answer.then(forget, forget);
  }

  #dropActivity(): void {
    const { activity: _, ...rest } = this.#beat;
    this.#beat = rest;
  }

  #opened({ session, created, resumed, lease }: SessionOpened): void {
    this.#host.leased(lease);
    this.#known.opened(session);
    this.#onReady.resolve({ session, created, resumed });
    this.#enter({ name: "open" });
    this.emit("opened", { session, created, resumed });
  }

  #changed(change: SessionChanged): void {
    this.#known.changedByOther(change);
    this.emit("changed", change);
  }

  #fenced(fenced: Fenced): void {
    this.#over("fenced", fencedError(fenced));
    this.emit("fenced", fenced);
  }

  #failed(error: StateHubError): void {
    this.#over("failed", error);
    this.emit("error", error);
  }

  #over(why: "closed" | "fenced" | "failed" | "left", error: StateHubError): void {
    if (this.#state.name === "over") return;
    this.#onReady.reject(error);
    this.#enter({ name: "over", why, error });
    this.#drained();
  }

  #drained(): void {
    for (const resolve of this.#flushed.splice(0)) resolve();
  }

  #enter(state: SessionState): void {
    if (this.#state.name === "over") return;
    this.#state = state;
    this.emit("state", state);
    this.#host.changed(this);
  }
}

function statusIn(content: EntryContent): SessionStatus | undefined {
  if (content.kind === "close") return content.status;
  const edit = content.edits.find((one) => one.kind === "session");
  return edit?.kind === "session" ? edit.status : undefined;
}
