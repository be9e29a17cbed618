import type { Answer, Command, Decision } from "../domain/commands.ts";
import type { ProjectionBatch } from "../ports.ts";
import type { Outcome } from "./outcome.ts";

/** One command on its way through the writer. */
export interface Job {
  readonly command: Command;
  /** Approximate size, for the bounds of the queue and of an entry. */
  readonly bytes: number;
  /** Monotonic time by which the caller gets an answer. */
  readonly deadline: number;
  /** Answers the caller, once; later calls do nothing. */
  settle(outcome: Outcome<Answer>): void;
  settled: boolean;
  /** It lost a race: a missed deadline is `OVERLOADED` then, unless `mayBeApplied`. */
  hasLostRace: boolean;
  /** Decided and perhaps in the log: only `UNAVAILABLE` is true of it until its commit has lost for certain. */
  mayBeApplied: boolean;
}

/** A job with what was decided for it, as part of a commit. */
export interface DecidedJob {
  readonly job: Job;
  readonly decision: Decision;
  /** Documents of other hubs' commits that an answer without changes leans on; REST must show them before it is acked. */
  readonly leansOn: ProjectionBatch;
}
