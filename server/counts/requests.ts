import type { ErrorCode } from "../../shared/errors.ts";
import { Latencies } from "./latencies.ts";

/** What became of the requests of one kind since the start. */
export class RequestCounts {
  accepted = 0;
  readonly refused = new Map<ErrorCode, number>();
  /** From the message to its ack. */
  readonly latencies = new Latencies();

  onRefused(code: ErrorCode): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}
