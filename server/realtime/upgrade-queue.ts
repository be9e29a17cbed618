import type { Duplex } from "node:stream";

interface Waiting {
  readonly socket: Duplex;
  readonly upgrade: () => void;
}

const ignore = () => {};

/**
 * Upgrades to WebSocket, a few in each turn of the event loop: when thousands come at once, what connected clients sent
 * is read in between. Those that went away while they waited cost nothing more.
 */
export class UpgradeQueue {
  readonly #perTurn: number;
  #waiting: Waiting[] = [];
  #isScheduled = false;

  constructor({ upgradesPerTurn }: { readonly upgradesPerTurn: number }) {
    this.#perTurn = upgradesPerTurn;
  }

  get size(): number {
    return this.#waiting.length;
  }

  push(socket: Duplex, upgrade: () => void): void {
    // Nobody else listens until it is upgraded, and an error that nobody hears ends the process.
    socket.on("error", ignore);
    this.#waiting.push({ socket, upgrade });
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
    let left = this.#perTurn;
    let looked = 0;
    for (const { socket, upgrade } of this.#waiting) {
      if (left === 0) break;
      looked += 1;
      socket.off("error", ignore);
      if (socket.destroyed) continue;
      left -= 1;
      upgrade();
    }
    this.#waiting.splice(0, looked);
  }
}
