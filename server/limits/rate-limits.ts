import type { Refusal } from "../../shared/errors.ts";
import type { Limits } from "../../shared/limits.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Principal } from "../domain/access.ts";
import type { Clock, Logger } from "../ports.ts";
import { ConnectionRate, type OverRate } from "./connection-rate.ts";
import { FailedKeys } from "./failed-keys.ts";
import { KeyRates } from "./key-rates.ts";

interface Options {
  readonly limits: Limits;
  readonly failedKeysPerMinute: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What a message counts as; others are bounded in other ways. */
export type RateName = "publishes" | "joins";

/** A message that is not looked at. */
export interface RateRefusal {
  readonly refusal: Refusal;
  /** The client goes on and on: its connection is to be closed. */
  readonly isOver: boolean;
}

/** The rates of one connection. */
export interface ConnectionRates {
  take(rate: RateName, now: number): RateRefusal | undefined;
}

interface RatedConnection {
  readonly id: string;
  readonly peer: { readonly principal: Pick<Principal, "keyId" | "fingerprint"> };
}

/** Every rate of this hub. */
export class RateLimits {
  readonly failedKeys: FailedKeys;
  readonly keyPublishes: KeyRates;
  readonly keyRequests: KeyRates;
  /** Refusals by limit since the start. */
  readonly refused = {
    publishes_per_second: 0,
    key_publishes_per_second: 0,
    joins_per_second: 0,
    key_requests_per_second: 0,
  };
  /** Connections that were closed. */
  closed = 0;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
    const { limits, failedKeysPerMinute } = options;
    this.failedKeys = new FailedKeys({ ...options, perMinute: failedKeysPerMinute });
    this.keyPublishes = new KeyRates({ ...options, perSecond: limits.key_publishes_per_second });
    this.keyRequests = new KeyRates({ ...options, perSecond: limits.key_requests_per_second });
  }

  /** A REST request with this key: undefined, or why it is not looked at. */
  request(keyId: string): Refusal | undefined {
    const pauseMs = this.keyRequests.take(keyId, this.#options.clock.monotonic());
    return pauseMs === undefined
      ? undefined
      : this.#refuse("key_requests_per_second", "requests with one key", pauseMs);
  }

  /** Too many keys from this address have failed: why nothing from there is looked at. */
  address(address: string): Refusal | undefined {
    const pauseMs = this.failedKeys.refusedFor(address);
    if (pauseMs === undefined) return undefined;
    const message = "too many failed API keys from this address; correct the key and wait";
    return { code: "RATE_LIMITED", message, retry_after_ms: pauseMs };
  }

  /** Of a connection, whose key may become another one. */
  connection(connection: RatedConnection): ConnectionRates {
    const rates: { [name in RateName]?: ConnectionRate } = {};
    const { limits, random, bounds } = this.#options;
    const rateOf = (name: RateName, now: number) => {
      const perSecond = limits[CONNECTION_LIMIT[name]];
      if (perSecond === 0) return undefined;
      rates[name] ??= new ConnectionRate(perSecond, now, random, bounds);
      return rates[name];
    };
    return {
      take: (name, now) => {
        const over = rateOf(name, now)?.take(now);
        if (over !== undefined) return this.#overRate(name, over, connection);
        const pauseMs = name === "publishes" ? this.keyPublishes.take(connection.peer.principal.keyId, now) : undefined;
        if (pauseMs === undefined) return undefined;
        const refusal = this.#refuse("key_publishes_per_second", "publishes with one key", pauseMs);
        return { refusal, isOver: false };
      },
    };
  }

  #overRate(name: RateName, { retryAfterMs, patience, isNews }: OverRate, { id, peer }: RatedConnection): RateRefusal {
    const limit = CONNECTION_LIMIT[name];
    const refusal = this.#refuse(limit, `${name} on one connection`, retryAfterMs);
    const { fingerprint } = peer.principal;
    if (isNews) this.#options.log.warn({ connection: id, fingerprint, ...refusal.details }, NEWS[patience]);
    if (patience === "over") this.closed += 1;
    const message =
      patience === "lasts" ? refusal.message : `${refusal.message}; if this goes on the connection is closed`;
    return { refusal: { ...refusal, message }, isOver: patience === "over" };
  }

  #refuse(limit: keyof RateLimits["refused"], what: string, retryAfterMs: number): Refusal {
    this.refused[limit] += 1;
    const allowed = this.#options.limits[limit];
    return {
      code: "RATE_LIMITED",
      message: `more than ${allowed} ${what} a second; wait retry_after_ms`,
      retry_after_ms: retryAfterMs,
      details: { limit, allowed },
    };
  }
}

const CONNECTION_LIMIT = { publishes: "publishes_per_second", joins: "joins_per_second" } as const;

const NEWS = {
  lasts: "a client sends more than its rate: refused",
  flooding: "a client goes on far beyond its rate: it will be closed",
  over: "closing a connection that went on far beyond its rate",
} as const;
