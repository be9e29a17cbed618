import { Latencies } from "./latencies.ts";

/** What REST answered since the start. */
export class HttpCounts {
  /** By status; 499: the client went away before the answer. */
  readonly statuses = new Map<number, number>();
  readonly latencies = new Latencies();

  onAnswered(status: number, ms: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    this.latencies.observe(ms);
  }
}
