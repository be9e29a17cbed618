import type { Hubs } from "../ports.ts";

/** Rows of hubs in memory: for unit tests and simulation. */
export class MemoryHubs implements Hubs {
  readonly #beats = new Map<string, number>();

  async raise(hubId: string): Promise<number> {
    const beat = (this.#beats.get(hubId) ?? 0) + 1;
    this.#beats.set(hubId, beat);
    return beat;
  }

  async read(limit: number): Promise<Map<string, number>> {
    return new Map([...this.#beats].toSorted(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit));
  }

  async remove(hubId: string, beat?: number): Promise<void> {
    if (beat === undefined || this.#beats.get(hubId) === beat) this.#beats.delete(hubId);
  }
}
