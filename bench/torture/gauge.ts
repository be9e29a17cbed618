import { residentBytes } from "../support/process-usage.ts";
import type { Fleet } from "./fleet.ts";
import { highest, type Span, within } from "./lag.ts";

interface Sample {
  readonly hub: number;
  readonly atMs: number;
  readonly residentBytes: number;
  /** What Redis has not taken yet; undefined where the hub did not say. */
  readonly pendingBytes: number | undefined;
}

const SAMPLE_EVERY_MS = 500;

/** Memory and queues of the hubs over time, looked at from outside. */
export class Gauge {
  readonly #fleet: Fleet;
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#timer = setInterval(() => void this.#look(), SAMPLE_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Most bytes that one hub came to hold above the most that it had held before. */
  growthBytes(before: Span, after: Span): number {
    const hubs = this.#fleet.pids.map((_, hub) => hub);
    return highest(hubs.map((hub) => this.#residentPeak(hub, after) - this.#residentPeak(hub, before)));
  }

  residentPeak(span: Span): number {
    return highest(this.#fleet.pids.map((_, hub) => this.#residentPeak(hub, span)));
  }

  pendingPeak(): number {
    return highest(this.#samples.map(({ pendingBytes }) => pendingBytes ?? 0));
  }

  #residentPeak(hub: number, span: Span): number {
    const samples = this.#samples.filter((sample) => sample.hub === hub && within(span, sample.atMs));
    return highest(samples.map((sample) => sample.residentBytes));
  }

  async #look(): Promise<void> {
    await Promise.all(
      this.#fleet.pids.map(async (pid, hub) => {
        const atMs = performance.now();
        const check = await this.#fleet.redisCheck(hub);
        try {
          this.#samples.push({ hub, atMs, residentBytes: residentBytes(pid), pendingBytes: check?.pending_bytes });
        } catch {
          // It was killed just now.
        }
      }),
    );
  }
}
