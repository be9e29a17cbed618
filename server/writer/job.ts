import type { Answer, Command, Decision } from "../domain/commands.ts";
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
  /** Lost races so far: then a missed deadline is `OVERLOADED`, not `UNAVAILABLE`. */
  lostRaces: number;
}

/** A job with what was decided for it, as part of a commit. */
export interface DecidedJob {
  readonly job: Job;
  readonly decision: Decision;
}
