import type { Refusal } from "../../shared/errors.ts";

/** The time for one answer is over. */
export const TOO_FAR: Refusal = {
  code: "TIMEOUT",
  message: "so many changes lie before this moment that its state cannot be made in time; ask for one session",
  retry_after_ms: 10_000,
};
