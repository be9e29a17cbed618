import { setTimeout as sleep } from "node:timers/promises";
import type { Rest } from "./crowd.ts";

const OPEN_REST_MS = 200;

/** For scenarios that need silence: each agent publishes once and then waits here until it is let go. */
export class Gate {
  readonly #waiting: { readonly hub: number; readonly go: () => void }[] = [];
  #isOpen = false;

  readonly rest: Rest =
    ({ hub }) =>
    () =>
      this.#isOpen ? sleep(OPEN_REST_MS) : new Promise((go) => this.#waiting.push({ hub, go }));

  /** One agent on another hub than this goes on. */
  letOne(otherThan: number): void {
    const index = this.#waiting.findIndex(({ hub }) => hub !== otherThan);
    for (const { go } of this.#waiting.splice(Math.max(0, index), index < 0 ? 0 : 1)) go();
  }

  /** Nobody waits any more. */
  open(): void {
    this.#isOpen = true;
    for (const { go } of this.#waiting.splice(0)) go();
  }
}
