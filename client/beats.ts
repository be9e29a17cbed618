import { jsonBytes } from "../shared/json.ts";
import type { Limits } from "../shared/limits.ts";
import type { Beat, HeartbeatTaken } from "../shared/messages/heartbeat.ts";
import type { Lease } from "../shared/messages/lease.ts";
import { ENVELOPE_BYTES } from "./check-input.ts";
import type { Cancel, Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { StateHubError } from "./errors.ts";

interface Options {
  readonly connection: Connection;
  readonly clock: Clock;
  limits(): Limits;
  /** What all sessions that are open have to say right now. */
  beats(): Beat[];
  rejected(sessionId: string, code: "FENCED" | "NOT_FOUND"): void;
}

/** One heartbeat for all sessions of a connection, at the hub's interval. Beats are never kept for later. */
export class Heartbeats {
  readonly #options: Options;
  #lease: Lease | undefined;
  #next: Cancel | undefined;
  #isSoon = false;

  constructor(options: Options) {
    this.#options = options;
  }

  lease(lease: Lease): void {
    const isNew = lease.interval_ms !== this.#lease?.interval_ms;
    this.#lease = lease;
    if (isNew && this.#next !== undefined && !this.#isSoon) this.#schedule();
  }

  /** Once for all sessions that were opened in the same moment: viewers see at once what they are at. */
  soon(): void {
    this.#scheduleIn(0);
    this.#isSoon = true;
  }

  /** With the link everything scheduled is gone. */
  unlinked(): void {
    this.#next = undefined;
  }

  #send(): void {
    const { connection, beats, limits, rejected } = this.#options;
    this.#next = undefined;
    const all = beats();
    if (all.length === 0) return;
    for (const sessions of framesOf(all, limits())) {
      connection.request<HeartbeatTaken>("heartbeat", { sessions }, (answer) => {
        // A refusal of the whole beat is no word on a session; the next one is due soon enough.
        if (answer instanceof StateHubError) return;
        for (const { session_id, code } of answer.rejected ?? []) rejected(session_id, code);
      });
    }
    this.#schedule();
  }

  /** ±10 %, so that agents that were connected together do not beat together. */
  #schedule(): void {
    const interval = this.#lease?.interval_ms ?? DEFAULT_INTERVAL_MS;
    this.#scheduleIn(interval * (0.9 + this.#options.clock.random() / 5));
  }

  #scheduleIn(ms: number): void {
    this.#next?.();
    this.#isSoon = false;
    this.#next = this.#options.connection.afterOnLink(ms, () => this.#send());
  }
}

/** Until the hub has said its own, which it does before anything else. */
const DEFAULT_INTERVAL_MS = 5_000;

/** As few messages as the hub's frames and its bound on sessions allow. */
function framesOf(beats: readonly Beat[], limits: Limits): Beat[][] {
  const frames: Beat[][] = [];
  let room = 0;
  for (const beat of beats) {
    const bytes = jsonBytes(beat) + 1;
    const last = frames.at(-1);
    if (last === undefined || bytes > room || last.length >= limits.sessions_per_connection) {
      frames.push([beat]);
      room = limits.frame_bytes - ENVELOPE_BYTES - bytes;
    } else {
      last.push(beat);
      room -= bytes;
    }
  }
  return frames;
}
