import { z } from "zod";
import type { FinalStatus, Session, SessionStatus } from "../shared/entities.ts";
import { Id } from "../shared/ids.ts";
import { type JsonObject, jsonBytes } from "../shared/json.ts";
import { DEFAULT_LIMITS, type Limits } from "../shared/limits.ts";
import { Edit, type Published } from "../shared/messages/changes-publish.ts";
import { Heartbeat } from "../shared/messages/heartbeat.ts";
import type { Lease } from "../shared/messages/lease.ts";
import type { Fenced, SessionChanged } from "../shared/messages/notices.ts";
import { SessionClose } from "../shared/messages/session-close.ts";
import { SessionOpen, type SessionOpened, type SessionOpenInput } from "../shared/messages/session-open.ts";
import { AGENTS_NAMESPACE } from "../shared/protocol.ts";
import { parseInput } from "../shared/validate.ts";
import { type Cancel, type Clock, systemClock } from "./clock.ts";
import { Connection, type ConnectionTimings } from "./connection.ts";
import type { ConnectionState } from "./connection-state.ts";
import { Emitter } from "./emitter.ts";
import { StateHubError } from "./errors.ts";
import { checkUrl, defaultMachineId, randomText } from "./identity.ts";
import { entityOf } from "./merge-edits.ts";
import { type EntryContent, Outbox } from "./outbox.ts";
import { plainCopy } from "./plain-copy.ts";
import { ENVELOPE_BYTES, SessionChannel } from "./session-channel.ts";
import { socketTransport } from "./socket-transport.ts";
import type { Transport } from "./transport.ts";

export interface AgentOptions {
  /** e.g. `http://127.0.0.1:3000` */
  readonly url: string;
  /** API key with the role agent or operator. */
  readonly key: string;
  /**
   * Who this agent is. A new process with the same id takes its sessions over at once; without one a random id is used,
   * so that a crashed agent's session can be taken only when the hub has missed its heartbeats.
   */
  readonly agentId?: string;
  readonly session: SessionSpec;
  /** What may wait while the hub is away or slow; beyond it `publish()` is refused with `OUTBOX_FULL`. */
  readonly outbox?: { readonly maxPublishes?: number; readonly maxBytes?: number };
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Default 20 s: well above the 5 s after which a hub says that its database does not answer. */
  readonly requestTimeoutMs?: number;
}

export interface SessionSpec {
  readonly sessionId: string;
  /** Default `default`. */
  readonly projectId?: string;
  /** Default: the host's name where the runtime tells it, else `unknown`. */
  readonly machineId?: string;
  /** Default `ACTIVE`. This and the fields below are ignored by the hub when the session exists already. */
  readonly status?: SessionStatus;
  readonly environment?: string;
  readonly metadata?: JsonObject;
  readonly parentSessionId?: string;
  readonly resumedFrom?: string;
  /** Take the session although another agent's lease is valid. Used for the first open only. */
  readonly takeover?: boolean;
}

/** What an agent says about itself between changes: kept in memory by the hub, never logged. */
export interface BeatInfo {
  /** 0 to 1. */
  readonly progress?: number;
  /** What it does right now, cut to 200 characters. */
  readonly activity?: string;
  readonly metrics?: Readonly<Record<string, number>>;
}

export interface PublishOptions {
  /** Never merged with neighbours, so the log shows it as a change of its own. */
  readonly alone?: boolean;
}

export interface OpenedSession {
  readonly session: Session;
  /** Made by this open, not found. */
  readonly created: boolean;
  /** The same owner came back, after a loss of the connection or of the hub. */
  readonly resumed: boolean;
}

export interface AgentEvents {
  state: ConnectionState;
  /** After every open, the first one and those after a loss of the connection. */
  opened: OpenedSession;
  /** Final: a newer agent owns the session, or someone ended it. Nothing is sent any more. */
  fenced: Fenced;
  /** An operator or the hub changed the session. */
  changed: SessionChanged;
  /** A refused publish (its promise rejects too), or the reason why the agent stopped. */
  error: StateHubError;
}

/** Starts at once and keeps trying while the hub is away; throws only on options that can never work. */
export function connectAgent(options: AgentOptions): Agent {
  checkUrl(options.url);
  const agentId = options.agentId ?? `agent-${randomText()}`;
  const timings = timingsOf(options);
  const transport = socketTransport({
    url: options.url,
    namespace: AGENTS_NAMESPACE,
    key: options.key,
    agentId: checked(Id, agentId, "agentId"),
    connectTimeoutMs: timings.connectTimeoutMs,
  });
  return new Agent({ ...options, agentId }, transport, systemClock);
}

/** One agent with one session: connection, session and outbox are kept in order for it. */
export class Agent extends Emitter<AgentEvents> {
  readonly sessionId: string;
  readonly projectId: string;
  readonly agentId: string | undefined;
  /** Settles with the first open, or rejects with the reason why there will be none. Using the agent need not wait for it. */
  readonly ready: Promise<OpenedSession>;
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #channel: SessionChannel;
  readonly #outbox: Outbox;
  #onReady: { resolve: (opened: OpenedSession) => void; reject: (error: StateHubError) => void };
  #limits: Limits = DEFAULT_LIMITS;
  #lease: Lease | undefined;
  #beat: BeatInfo = {};
  #nextBeat: Cancel | undefined;
  #closing: Promise<Published> | undefined;
  #flushed: (() => void)[] = [];

  /** @internal use `connectAgent` */
  constructor(options: AgentOptions, transport: Transport, clock: Clock) {
    super();
    const spec = openRequest(options.session);
    this.sessionId = spec.session_id;
    this.projectId = spec.project_id ?? "default";
    this.agentId = options.agentId;
    this.#clock = clock;
    this.#outbox = new Outbox({
      maxEntries: options.outbox?.maxPublishes ?? 1_000,
      maxBytes: options.outbox?.maxBytes ?? 1024 * 1024,
    });
    this.#onReady = { resolve: () => {}, reject: () => {} };
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = { resolve, reject };
    });
    // Whoever does not wait for it hears of a failure by the `error` event.
    this.ready.catch(() => {});
    this.#connection = new Connection(transport, clock, timingsOf(options), {
      linked: () => this.#channel.linked(),
      unlinked: () => this.#channel.unlinked(),
      welcomed: (welcome) => {
        this.#limits = { ...DEFAULT_LIMITS, ...welcome.limits };
        this.#lease = welcome.lease;
      },
      received: (event, payload) => this.#received(event, payload),
      stateChanged: (state) => this.#stateChanged(state),
    });
    this.#channel = new SessionChannel(this.#connection, spec, this.#outbox, {
      limits: () => this.#limits,
      opened: (opened) => this.#opened(opened),
      changed: (change) => this.emit("changed", change),
      fenced: (fenced) => this.#fenced(fenced),
      ended: () => this.#connection.stop("closed"),
      failed: (error) => this.#connection.stop("failed", error),
      drained: () => this.#drained(),
    });
    this.#connection.start();
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** The session as of the last open, undefined before the first. */
  get session(): Session | undefined {
    return this.#channel.session;
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
    return this.#enqueue(() => ({ kind: "publish", edits: checkedEdits(edits) }), options.alone ?? false);
  }

  /** Goes out with the next heartbeats until replaced; the members that are not given keep their last value. */
  beat(info: BeatInfo): void {
    const next = { ...this.#beat, ...(plainCopy(info) as BeatInfo) };
    if (typeof next.activity === "string") next.activity = cut(next.activity, this.#limits.activity_chars);
    const beat = { sessions: [{ session_id: this.sessionId, incarnation: 1, ...next }] };
    checked(Heartbeat, beat, "beat");
    if (jsonBytes(beat) + ENVELOPE_BYTES > this.#limits.frame_bytes) throw tooLarge(this.#limits.frame_bytes);
    this.#beat = next;
  }

  /** Settles when everything published before has its answer, also when that is a refusal or the end. */
  flush(): Promise<void> {
    if (this.#channel.undelivered === 0) return Promise.resolve();
    return new Promise((resolve) => this.#flushed.push(resolve));
  }

  /**
   * Delivers what is still waiting, ends the session and disconnects. With `timeoutMs` it gives up after that time: it
   * disconnects and rejects with `TIMEOUT` and `details.undelivered`; what the hub has not got by then is lost.
   */
  close(
    status: FinalStatus = "COMPLETED",
    metadata?: JsonObject,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<Published> {
    this.#closing ??= this.#close(status, metadata, options.timeoutMs);
    return this.#closing;
  }

  /** Leaves the session open: its heartbeats end, and the hub will call it stale, then lost. Rejects what is waiting. */
  disconnect(): void {
    this.#stop(new StateHubError("CLOSED", "the agent was disconnected before the hub answered"));
  }

  #close(status: FinalStatus, metadata: JsonObject | undefined, timeoutMs: number | undefined): Promise<Published> {
    const answer = this.#enqueue(() => {
      const copy = metadata === undefined ? undefined : (plainCopy(metadata) as JsonObject);
      checked(
        SessionClose,
        {
          session_id: this.sessionId,
          incarnation: 1,
          op: 1,
          status,
          ...(copy === undefined ? {} : { metadata: copy }),
        },
        "close",
      );
      return { kind: "close", status, metadata: copy };
    }, true);
    const cancel =
      timeoutMs === undefined
        ? () => {}
        : this.#clock.after(timeoutMs, () => {
            const undelivered = this.#channel.undelivered;
            this.#stop(
              new StateHubError("TIMEOUT", `the hub did not confirm the end within ${timeoutMs} ms`, {
                details: { undelivered },
              }),
            );
          });
    const closing = answer.then(
      (published) => {
        cancel();
        return published;
      },
      (error) => {
        cancel();
        // Refused (metadata too large, say): the session is still open, and may be closed once more.
        this.#closing = undefined;
        throw error;
      },
    );
    closing.catch(() => {});
    return closing;
  }

  #enqueue(content: () => EntryContent, alone: boolean): Promise<Published> {
    const answer = new Promise<Published>((resolve, reject) => {
      const refuse = (error: StateHubError) => {
        // Nobody needs to be told that what they closed themselves is closed.
        if (error.code !== "CLOSED") this.emit("error", error);
        reject(error);
      };
      try {
        if (this.#closing !== undefined) throw new StateHubError("CLOSED", "the agent is closing");
        const checkedContent = content();
        const bytes = jsonBytes(checkedContent);
        if (bytes + ENVELOPE_BYTES > this.#limits.frame_bytes) throw tooLarge(this.#limits.frame_bytes);
        if (!this.#outbox.hasRoomFor(bytes)) throw this.#outboxFull();
        this.#channel.add({
          content: checkedContent,
          bytes,
          alone,
          settle: (outcome) => (outcome instanceof StateHubError ? refuse(outcome) : resolve(outcome)),
        });
      } catch (error) {
        if (!(error instanceof StateHubError)) throw error;
        refuse(error);
      }
    });
    // A report that nobody waits for must not end the program; its refusal is an `error` event.
    answer.catch(() => {});
    return answer;
  }

  #outboxFull(): StateHubError {
    return new StateHubError(
      "OUTBOX_FULL",
      `${this.#outbox.count} publishes (${this.#outbox.bytes} bytes) wait for the hub, which is ${this.state.name === "ready" ? "slow" : "away"}: this one was not taken`,
    );
  }

  #opened(opened: SessionOpened): void {
    this.#lease = opened.lease;
    this.#connection.opened();
    const { session, created, resumed } = opened;
    this.#onReady.resolve({ session, created, resumed });
    this.emit("opened", { session, created, resumed });
    this.#sendBeat();
  }

  #received(event: string, payload: unknown): void {
    if (event === "lease") {
      this.#lease = payload as Lease;
      if (this.#channel.isOpen) this.#scheduleBeat();
    } else this.#channel.received(event, payload);
  }

  #sendBeat(): void {
    if (!this.#channel.isOpen) return;
    const sessions = [{ session_id: this.sessionId, incarnation: this.#channel.incarnation, ...this.#beat }];
    this.#connection.send("heartbeat", { sessions });
    this.#scheduleBeat();
  }

  /** ±10 %, so that agents that were connected together do not beat together. */
  #scheduleBeat(): void {
    this.#nextBeat?.();
    const interval = this.#lease?.interval_ms ?? 5_000;
    this.#nextBeat = this.#connection.afterOnLink(interval * (0.9 + this.#clock.random() / 5), () => this.#sendBeat());
  }

  #fenced(fenced: Fenced): void {
    this.#connection.stop("fenced");
    this.emit("fenced", fenced);
    this.#drained();
  }

  #stateChanged(state: ConnectionState): void {
    if (state.name === "stopped") {
      const error = state.error ?? new StateHubError("CLOSED", "the agent has stopped");
      this.#onReady.reject(error);
      this.#channel.stop(error);
      if (state.why === "failed") this.emit("error", error);
      this.#drained();
    }
    this.emit("state", state);
  }

  #stop(error: StateHubError): void {
    this.#channel.stop(error);
    this.#connection.stop("closed");
    this.#drained();
  }

  #drained(): void {
    for (const resolve of this.#flushed.splice(0)) resolve();
  }
}

function timingsOf(options: { connectTimeoutMs?: number; requestTimeoutMs?: number }): ConnectionTimings {
  return {
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
  };
}

function openRequest(spec: SessionSpec): SessionOpenInput {
  const request = plainCopy({
    session_id: spec.sessionId,
    project_id: spec.projectId,
    machine_id: spec.machineId ?? defaultMachineId(),
    status: spec.status,
    environment: spec.environment,
    metadata: spec.metadata,
    parent_session_id: spec.parentSessionId,
    resumed_from: spec.resumedFrom,
    takeover: spec.takeover,
  });
  checked(SessionOpen, request, "session");
  if (jsonBytes(request) + ENVELOPE_BYTES > DEFAULT_LIMITS.frame_bytes) throw tooLarge(DEFAULT_LIMITS.frame_bytes);
  return request as SessionOpenInput;
}

const Changes = z.object({ changes: z.array(Edit).min(1, "must hold at least one change") });

function checkedEdits(edits: Edit | readonly Edit[]): Edit[] {
  const { changes } = checked(Changes, { changes: plainCopy(Array.isArray(edits) ? edits : [edits]) }, "publish");
  if (changes.length > DEFAULT_LIMITS.changes_per_publish) {
    throw new StateHubError("VALIDATION", `a publish holds at most ${DEFAULT_LIMITS.changes_per_publish} changes`);
  }
  const entities = new Set(changes.map(entityOf));
  if (entities.size < changes.length) {
    throw new StateHubError("VALIDATION", "a publish may name each task, and the session, once");
  }
  return changes;
}

/** The same check that the hub makes, before anything is sent. */
function checked<S extends z.ZodType>(schema: S, input: unknown, what: string): z.infer<S> {
  const parsed = parseInput(schema, input);
  if (parsed.ok) return parsed.value;
  throw new StateHubError(parsed.refusal.code, `${what}: ${parsed.refusal.message}`, {
    details: parsed.refusal.details,
  });
}

function tooLarge(frameBytes: number): StateHubError {
  return new StateHubError("PAYLOAD_TOO_LARGE", `larger than the ${frameBytes} bytes that the hub takes in one frame`);
}

/** Cuts between characters, never inside a surrogate pair. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = /[\uD800-\uDBFF]/.test(text.charAt(length - 1)) ? length - 1 : length;
  return text.slice(0, end);
}
