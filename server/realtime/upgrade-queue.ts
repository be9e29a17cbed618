import type { Duplex } from "node:stream";
import type { Clock } from "../ports.ts";

interface Waiting {
  readonly socket: Duplex;
  /** Monotonic. */
  readonly since: number;
  readonly upgrade: () => void;
  readonly refuse: () => void;
}

interface Options {
  readonly clock: Pick<Clock, "monotonic">;
  readonly bounds: { readonly upgradesPerTurn: number; readonly upgradeWaitMs: number };
}

const ignore = () => {};

/**
 * Upgrades to WebSocket, a few in each turn of the event loop: when thousands come at once, what connected clients sent
 * is read in between. Nobody reads a socket before it is upgraded, so a client that gave up is not noticed: who has waited
 * long is refused, which costs little, instead of upgraded for nobody while those behind it give up too.
 */
export class UpgradeQueue {
  readonly #options: Options;
  #waiting: Waiting[] = [];
  #isScheduled = false;

  constructor(options: Options) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.length;
  }

  push(socket: Duplex, upgrade: () => void, refuse: () => void): void {
    // Nobody else listens until it is upgraded, and an error that nobody hears ends the process.
    socket.on("error", ignore);
    this.#waiting.push({ socket, since: this.#options.clock.monotonic(), upgrade, refuse });
    this.#schedule();
  }

  /** Ends those that wait. */
  stop(): void {
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#upgradeSome();
      this.#schedule();
    });
  }

  #upgradeSome(): void {
    const { clock, bounds } = this.#options;
    const latest = clock.monotonic() - bounds.upgradeWaitMs;
    let left = bounds.upgradesPerTurn;
    let looked = 0;
    for (const { socket, since, upgrade, refuse } of this.#waiting) {
      if (left === 0) break;
      looked += 1;
      if (socket.destroyed) continue;
      if (since < latest) {
        refuse();
        continue;
      }
      socket.off("error", ignore);
      left -= 1;
      upgrade();
    }
    this.#waiting.splice(0, looked);
  }
}
