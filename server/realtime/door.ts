import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "socket.io";
import { ERRORS, errorBody, type Refusal, refuse } from "../../shared/errors.ts";
import type { BOUNDS } from "../bounds.ts";
import { RequestCounts } from "../counts/requests.ts";
import { clientAddress, partyOf } from "../domain/client-address.ts";
import type { Origins } from "../domain/origins.ts";
import { DRAINING } from "../drain/refusal.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { Clock, Logger } from "../ports.ts";
import { pause } from "../timing.ts";
import { AcceptBrake } from "./accept-brake.ts";
import { FAREWELL_MS } from "./farewell.ts";
import { authenticate, INVALID_KEY, type Peer } from "./handshake.ts";
import { LoopLag } from "./loop-lag.ts";
import { UpgradeQueue } from "./upgrade-queue.ts";

export interface DoorOptions {
  readonly keys: KeyRing;
  readonly bounds: typeof BOUNDS;
  readonly clock: Clock;
  readonly log: Logger;
  readonly origins: Origins;
  readonly rates: RateLimits;
  /** Proxies in front that are believed about the client's address. */
  readonly trustedProxies: number;
  readonly maxConnections: number;
  /** 0: as many as come. */
  readonly maxConnectsPerSecond: number;
  /** New connections are refused. */
  readonly isDraining: () => boolean;
}

/** How many there are now: TCP connections that were upgraded, those of them that a CONNECT has brought in, and others. */
interface Presence {
  readonly upgraded: () => number;
  readonly accepted: () => number;
  /** Streams of events, which are none of both. */
  readonly streams: () => number;
}

/** Asked of those who are not even upgraded, and at least of those who find the hub full. */
const UPGRADE_PAUSE_MS = 2_000;
const FULL_PAUSE_MS = 10_000;
const TOO_MANY: Refusal = {
  code: "OVERLOADED",
  message: "too many connections have not been accepted yet",
  retry_after_ms: UPGRADE_PAUSE_MS,
};
const TOO_LONG: Refusal = {
  code: "OVERLOADED",
  message: "too many connect at once; the upgrade would have come too late",
  retry_after_ms: UPGRADE_PAUSE_MS,
};

/** Who comes in: first the upgrade to WebSocket, then, with a key, the CONNECT to a namespace. */
export class Door {
  /** CONNECTs that were judged. */
  readonly counts = new RequestCounts();
  readonly #options: DoorOptions & Presence;
  /** Engine connections that have sent a CONNECT. */
  readonly #claimed = new WeakSet<object>();
  readonly #upgrades: UpgradeQueue;
  readonly #lag: LoopLag;
  readonly #brake: AcceptBrake;

  constructor(options: DoorOptions & Presence) {
    this.#options = options;
    this.#upgrades = new UpgradeQueue(options);
    this.#lag = new LoopLag(options);
    this.#brake = new AcceptBrake({
      ...options,
      perSecond: options.maxConnectsPerSecond,
      lagMs: () => this.#lag.ms,
      random: Math.random,
    });
  }

  get loopLagMs(): number {
    return this.#lag.ms;
  }

  stop(): void {
    this.#lag.stop();
    this.#upgrades.stop();
  }

  /** Socket.IO's `allowRequest`. */
  upgrade(request: IncomingMessage, decide: (error: null, isAllowed: boolean) => void): void {
    const refuse = (refusal: Refusal) => {
      answerUpgrade(request, refusal);
      decide(null, false);
    };
    const refusal = this.#refusalOfUpgrade(request);
    if (refusal !== undefined) refuse(refusal);
    else
      this.#upgrades.push(
        request.socket,
        () => decide(null, true),
        () => refuse(TOO_LONG),
      );
  }

  /** What is thrown in here would end the process, and nobody has shown a key yet. */
  async connect(socket: Socket): Promise<Peer | Refusal> {
    const judged = await this.#judge(socket);
    if ("code" in judged) this.counts.onRefused(judged.code);
    else this.counts.accepted += 1;
    return judged;
  }

  async #judge(socket: Socket): Promise<Peer | Refusal> {
    try {
      return await this.#greet(socket);
    } catch (error) {
      this.#options.log.error({ err: error }, "a CONNECT could not be judged");
      return refuse("INTERNAL", "internal error");
    }
  }

  async #greet(socket: Socket): Promise<Peer | Refusal> {
    const { conn, handshake } = socket;
    // One namespace per connection: a flood of CONNECTs must not become a flood of sockets.
    if (this.#claimed.has(conn)) {
      conn.close();
      return { code: "VALIDATION", message: "one namespace per connection" };
    }
    this.#claimed.add(conn);
    if (this.#options.isDraining()) return DRAINING;
    const { keys, rates } = this.#options;
    const address = this.#addressOf(socket);
    const blocked = rates.address(address);
    if (blocked !== undefined) return blocked;
    // Reads all of the request before it waits for anything.
    const greeted = authenticate(handshake, keys, socket.nsp.name);
    forgetRequest(socket);
    const peer = await greeted;
    if (peer === INVALID_KEY) rates.failedKeys.onFailure(address);
    // After the key, which costs microseconds: strangers must not use up what agents need to come back.
    return "code" in peer ? peer : (this.overload() ?? peer);
  }

  #addressOf({ conn, handshake }: Socket): string {
    const forwardedFor = handshake.headers["x-forwarded-for"];
    const text = Array.isArray(forwardedFor) ? forwardedFor.join(",") : forwardedFor;
    return partyOf(clientAddress(conn.remoteAddress, text, this.#options.trustedProxies));
  }

  /** Why one more cannot be taken now; one that can is counted against the pace. */
  overload(): Refusal | undefined {
    const { maxConnections, accepted, streams } = this.#options;
    if (accepted() + streams() >= maxConnections) {
      const message = `the hub holds ${maxConnections} connections, which is all that it takes`;
      return { code: "OVERLOADED", message, retry_after_ms: Math.round(FULL_PAUSE_MS * (1 + Math.random())) };
    }
    const pauseMs = this.#brake.take();
    if (pauseMs === undefined) return undefined;
    return { code: "OVERLOADED", message: "too many connect at once", retry_after_ms: pauseMs };
  }

  #refusalOfUpgrade(request: IncomingMessage): Refusal | undefined {
    const { origin, host } = request.headers;
    if (!this.#options.origins.admits(origin, host)) {
      return refuse("FORBIDDEN", "pages of this origin may not use the hub; see CORS_ALLOW_ORIGINS");
    }
    const unconnected = this.#upgrades.size + this.#options.upgraded() - this.#options.accepted();
    if (unconnected >= this.#options.bounds.unconnected) {
      return TOO_MANY;
    }
    const protocol = new URL(request.url ?? "", "http://hub").searchParams.get("EIO");
    return protocol === "4" ? undefined : refuse("VALIDATION", "this hub speaks Engine.IO 4");
  }
}

/** The library would answer 400 whatever it was, for a wrong protocol even behind a 101. */
function answerUpgrade({ socket }: IncomingMessage, { code, message, retry_after_ms }: Refusal): void {
  const status = ERRORS[code].status;
  const body = JSON.stringify({ code, message, ...(retry_after_ms === undefined ? {} : { retry_after_ms }) });
  const retry = retry_after_ms === undefined ? "" : `\r\nRetry-After: ${Math.ceil(retry_after_ms / 1_000)}`;
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close${retry}\r\nContent-Type: application/json`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** The library would let the connection live on and try other keys. */
export function refuseConnect(socket: Socket, next: (error: Error) => void, refusal: Refusal): void {
  next(connectError(refusal));
  void pause(FAREWELL_MS).then(() => socket.conn.close());
}

function connectError(refusal: Refusal): Error {
  const { code, message, retry_after_ms, details } = errorBody(refusal, "");
  const data = {
    code,
    message,
    ...(retry_after_ms === undefined ? {} : { retry_after_ms }),
    ...(details === undefined ? {} : { details }),
  };
  return Object.assign(new Error(message), { data });
}

/** The key is not needed again; nothing may find it here later. */
function forgetRequest({ conn, handshake }: Socket): void {
  handshake.auth = {};
  handshake.headers = {};
  handshake.query = {};
  handshake.url = "";
  const request = conn.request as IncomingMessage & { _query?: object };
  request.headers = {};
  request.rawHeaders = [];
  request.url = "";
  request._query = {};
}
