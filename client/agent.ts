import type { FinalStatus } from "../shared/entities.ts";
import { DEFAULT_PROJECT_ID, Id } from "../shared/ids.ts";
import { DEFAULT_LIMITS, type Limits } from "../shared/limits.ts";
import type { Beat } from "../shared/messages/heartbeat.ts";
import type { Lease } from "../shared/messages/lease.ts";
import { AGENTS_NAMESPACE } from "../shared/protocol.ts";
import { AgentSession, type SessionHost } from "./agent-session.ts";
import type { AgentEvents, AgentOptions, CloseOptions, SessionSpec } from "./agent-types.ts";
import { Heartbeats } from "./beats.ts";
import { CLIENT_BOUNDS } from "./bounds.ts";
import { checked, openRequest } from "./check-input.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Connection, type ConnectionTimings } from "./connection.ts";
import type { ConnectionState } from "./connection-state.ts";
import { Emitter } from "./emitter.ts";
import { StateHubError } from "./errors.ts";
import { HubRotation } from "./hub-rotation.ts";
import { hubUrls } from "./hub-urls.ts";
import { randomText } from "./identity.ts";
import { type Journal, NO_JOURNAL, spoolJournal } from "./journal.ts";
import type { EntryContent } from "./outbox.ts";
import { OutboxBudget, type OutboxDepth } from "./outbox-budget.ts";
import { socketTransport } from "./socket-transport.ts";
import type { Spool, SpoolRecord } from "./spool.ts";
import type { Transport } from "./transport.ts";

/** Starts at once and keeps trying while the hub is away; throws only on options that can never work. */
export function connectAgent(options: AgentOptions): Agent {
  const urls = hubUrls(options.url);
  const agentId = checked(Id, options.agentId ?? options.spool?.agentId ?? `agent-${randomText()}`, "agentId");
  const transport = socketTransport({
    urls,
    namespace: AGENTS_NAMESPACE,
    key: options.key,
    agentId,
    connectTimeoutMs: timingsOf(options).connectTimeoutMs,
    network: options.network,
  });
  return new Agent({ ...options, agentId }, transport, systemClock);
}

/** One agent on one connection, with any number of sessions up to the hub's limit (200). */
export class Agent extends Emitter<AgentEvents> {
  readonly agentId: string | undefined;
  /**
   * Those that are not over, by session_id. With a spool also the sessions of an earlier process: what waits for them is
   * delivered, but nobody vouches for them by heartbeats until `open` is called for them.
   */
  readonly sessions: ReadonlyMap<string, AgentSession>;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #heartbeats: Heartbeats;
  readonly #budget: OutboxBudget;
  readonly #spool: Spool | undefined;
  readonly #host: SessionHost;
  #limits: Limits = DEFAULT_LIMITS;
  #isSpoolBehind = false;
  #toldDepth: OutboxDepth = { publishes: 0, bytes: 0 };
  #isDepthToBeTold = false;
  #closing: Promise<void> | undefined;
  /** The agent has stopped with something undelivered. */
  #leftError: StateHubError | undefined;

  /** @internal use `connectAgent` */
  constructor(options: AgentOptions, transport: Transport, clock: Clock) {
    super();
    this.agentId = options.agentId;
    this.sessions = this.#sessions;
    this.#clock = clock;
    this.#spool = options.spool;
    const { maxPublishes = CLIENT_BOUNDS.outboxPublishes, maxBytes = CLIENT_BOUNDS.outboxBytes } = options.outbox ?? {};
    this.#budget = new OutboxBudget({ maxPublishes, maxBytes }, () => this.#depthChanged());
    const hubs = new HubRotation(hubUrls(options.url), clock);
    this.#connection = new Connection(transport, hubs, clock, timingsOf(options), {
      linked: () => this.#linked(),
      unlinked: () => this.#unlinked(),
      welcomed: (welcome) => {
        this.#limits = { ...DEFAULT_LIMITS, ...welcome.limits };
        this.#heartbeats.lease(welcome.lease);
      },
      received: (event, payload) => this.#received(event, payload),
      stateChanged: (state) => this.#stateChanged(state),
    });
    this.#heartbeats = new Heartbeats({
      connection: this.#connection,
      clock,
      limits: () => this.#limits,
      beats: () => this.#beats(),
      rejected: (sessionId, code) => this.#sessions.get(sessionId)?.disowned(code),
    });
    this.#host = {
      connection: this.#connection,
      budget: this.#budget,
      limits: () => this.#limits,
      refusal: () => this.#refusal(),
      leased: (lease) => this.#heartbeats.lease(lease),
      changed: (session) => this.#sessionChanged(session),
      undelivered: (session, content, error) => this.#undelivered(session, content, error),
    };
    this.#takeUp();
    this.#connection.start();
  }

  /** Of the connection: `ready` when the hub has taken this agent and opened every session that is to be open. */
  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Address of the hub that is connected to, or tried next. */
  get url(): string {
    return this.#connection.url;
  }

  /** What waits for the hub's word, over all sessions. */
  get outbox(): OutboxDepth {
    return this.#budget.depth;
  }

  /**
   * Creates the session, or comes back to it; usable at once. A session that an earlier process left in the spool is taken
   * up as it was. Throws `VALIDATION` on a spec that can never work or a session that this agent has open already,
   * `LIMIT_EXCEEDED` beyond the sessions that one connection may hold, `SPOOL_FAILED` when the spool cannot keep it, and
   * `CLOSED`, or the reason of the end, when the agent has stopped.
   */
  open(spec: SessionSpec): AgentSession {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    const request = openRequest(spec);
    const left = this.#sessions.get(request.session_id);
    if (left !== undefined) assertLeft(left, request.project_id ?? DEFAULT_PROJECT_ID);
    if (left?.isLive !== true) this.#assertRoomForSession();
    if (left === undefined) this.#spool?.append({ type: "session", spec: request });
    const session = left ?? this.#add(new AgentSession(this.#host, request, this.#journalOf(request.session_id)));
    session.work();
    return session;
  }

  /** Settles when everything published before has its answer, also when that is a refusal or the end. */
  async flush(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.flush()));
  }

  /**
   * Delivers what waits, then disconnects. Rejects with `TIMEOUT`, or with the reason why the agent stopped, when something
   * was not delivered; `details` tells how much of which session, and whether a spool has it (`kept`).
   */
  close(options: CloseOptions = {}): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#close(options.status, options.timeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS);
      // Whoever does not wait for it is not to be ended by it.
      this.#closing.catch(() => {});
    }
    return this.#closing;
  }

  /** At once. Sessions stay open: their heartbeats end, and the hub will call them stale, then lost. Rejects what waits. */
  disconnect(): void {
    this.#connection.stop("closed", new StateHubError("CLOSED", "the agent was disconnected before the hub answered"));
  }

  async #close(status: FinalStatus | undefined, timeoutMs: number): Promise<void> {
    const mine = [...this.#sessions.values()].filter((session) => !session.isLeft);
    const ends = status === undefined ? [] : mine.map((session) => session.close(status));
    const cancel = Number.isFinite(timeoutMs)
      ? this.#clock.after(timeoutMs, () => {
          const text = `the hub did not confirm everything within ${timeoutMs} ms`;
          this.#connection.stop("closed", new StateHubError("TIMEOUT", text));
        })
      : () => {};
    await this.flush();
    cancel();
    this.#connection.stop("closed");
    if (this.#leftError !== undefined) throw this.#leftError;
    for (const end of ends) {
      await end.catch((error: StateHubError) => {
        // Ended or taken by somebody else meanwhile: there is nothing left to end.
        if (error.code !== "FENCED") throw error;
      });
    }
  }

  /** What an earlier process left. */
  #takeUp(): void {
    const spool = this.#spool;
    if (spool === undefined) return;
    for (const [sessionId, left] of spool.sessions) {
      this.#add(new AgentSession(this.#host, left.spec, this.#journalOf(sessionId), left));
    }
    if (this.agentId !== undefined && spool.agentId !== this.agentId) {
      spool.append({ type: "agent", agent_id: this.agentId });
    }
  }

  #add(session: AgentSession): AgentSession {
    this.#sessions.set(session.sessionId, session);
    return session;
  }

  #journalOf(sessionId: string): Journal {
    const spool = this.#spool;
    if (spool === undefined) return NO_JOURNAL;
    const append = (record: SpoolRecord) => {
      spool.append(record);
      this.#isSpoolBehind = false;
    };
    return spoolJournal(append, sessionId, (error) => {
      // Once, not for every step until the disk has room again.
      if (!this.#isSpoolBehind && this.state.name !== "stopped") this.emit("error", error);
      this.#isSpoolBehind = true;
    });
  }

  #assertRoomForSession(): void {
    const most = this.#limits.sessions_per_connection;
    const live = [...this.#sessions.values()].filter((session) => session.isLive).length;
    if (live < most) return;
    throw new StateHubError(
      "LIMIT_EXCEEDED",
      `${live} sessions are open or wait for their end to be delivered, and one agent holds at most ${most}: ` +
        "close some, or connect another agent",
      { details: { limit: most } },
    );
  }

  #refusal(): StateHubError | undefined {
    const { state } = this;
    if (state.name === "stopped") return state.error ?? new StateHubError("CLOSED", "the agent was closed");
    return this.#closing === undefined ? undefined : new StateHubError("CLOSED", "the agent is closing");
  }

  /** All sessions in one go; each is answered on its own. */
  #linked(): void {
    for (const session of [...this.#sessions.values()]) session.linked();
    this.#checkReady();
  }

  #unlinked(): void {
    this.#heartbeats.unlinked();
    for (const session of [...this.#sessions.values()]) session.unlinked();
  }

  #received(event: string, payload: unknown): void {
    if (event === "lease") this.#heartbeats.lease(payload as Lease);
    else this.#sessions.get(String((payload as { session_id?: unknown } | null)?.session_id))?.received(event, payload);
  }

  #sessionChanged(session: AgentSession): void {
    if (session.state.name === "over" && this.#sessions.get(session.sessionId) === session) {
      this.#sessions.delete(session.sessionId);
    }
    if (session.state.name === "open") this.#heartbeats.soon();
    this.#checkReady();
  }

  #checkReady(): void {
    if (!this.#connection.isLinked) return;
    if (![...this.#sessions.values()].some((session) => session.isAwaited)) this.#connection.opened();
  }

  #beats(): Beat[] {
    return [...this.#sessions.values()].flatMap((session) => session.currentBeat() ?? []);
  }

  #undelivered(session: AgentSession, content: EntryContent, error: StateHubError): void {
    // Still in the spool: the next process has it.
    if (this.state.name === "stopped") return;
    const { sessionId, projectId } = session;
    const undelivered = { sessionId, projectId, content, error };
    this.emit("undelivered", { ...undelivered, keptIn: this.#spool?.keepUndelivered(undelivered) });
  }

  #depthChanged(): void {
    if (this.#isDepthToBeTold) return;
    this.#isDepthToBeTold = true;
    queueMicrotask(() => {
      this.#isDepthToBeTold = false;
      const { publishes, bytes } = this.outbox;
      if (publishes === this.#toldDepth.publishes && bytes === this.#toldDepth.bytes) return;
      this.#toldDepth = { publishes, bytes };
      this.emit("outbox", this.#toldDepth);
    });
  }

  #stateChanged(state: ConnectionState): void {
    if (state.name === "stopped") {
      const error = this.#leave(state.error ?? new StateHubError("CLOSED", "the agent was closed"));
      if (state.why === "failed") this.emit("error", error);
    }
    this.emit("state", state);
  }

  /** The reason why nothing more will be delivered, with what that concerns. */
  #leave(cause: StateHubError): StateHubError {
    const sessions = [...this.#sessions.values()];
    const waiting = sessions
      .filter((session) => session.undelivered > 0)
      .map(({ sessionId, projectId, undelivered }) => ({ session_id: sessionId, project_id: projectId, undelivered }));
    const undelivered = waiting.reduce((sum, one) => sum + one.undelivered, 0);
    const error = undelivered === 0 ? cause : leftError(cause, undelivered, waiting, this.#spool?.name);
    if (undelivered > 0) this.#leftError = error;
    for (const session of sessions) session.leave(error);
    this.#spool?.close();
    return error;
  }
}

const DEFAULT_CLOSE_TIMEOUT_MS = 30_000;

function timingsOf(options: { connectTimeoutMs?: number; requestTimeoutMs?: number }): ConnectionTimings {
  return {
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
  };
}

/** A session can be taken up when an earlier process left it, in the same project, and did not end it. */
function assertLeft(session: AgentSession, projectId: string): void {
  const { sessionId } = session;
  if (session.projectId !== projectId) {
    const text = `session ${sessionId} is open in project ${session.projectId}; one agent cannot hold both`;
    throw new StateHubError("VALIDATION", text);
  }
  if (session.isEnding) {
    const text = `session ${sessionId} waits for its end to be delivered; a new run is a new session with resumedFrom`;
    throw new StateHubError("VALIDATION", text);
  }
  if (!session.isLeft) throw new StateHubError("VALIDATION", `session ${sessionId} is open in this agent already`);
}

function leftError(
  cause: StateHubError,
  undelivered: number,
  sessions: readonly object[],
  spool: string | undefined,
): StateHubError {
  const fate = spool === undefined ? "not delivered" : `not delivered yet; they stay in ${spool}`;
  return new StateHubError(cause.code, `${cause.message}: ${undelivered} publishes were ${fate}`, {
    retryAfterMs: cause.retryAfterMs,
    details: { ...cause.details, undelivered, sessions, kept: spool !== undefined },
    requestId: cause.requestId,
    cause,
  });
}
