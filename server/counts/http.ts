import { Latencies } from "./latencies.ts";

/** What REST answered since the start. */
export class HttpCounts {
  /** By status; 499: the client went away before the answer. */
  readonly statuses = new Map<number, number>();
  readonly latencies = new Latencies();

  /** @param ms until the end of the answer; undefined for one that has no end of its own */
  onAnswered(status: number, ms: number | undefined): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (ms !== undefined) this.latencies.observe(ms);
  }
}
