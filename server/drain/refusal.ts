import { type Refusal, refuse } from "../../shared/errors.ts";

/** The answer to everything new while the hub drains. */
export const DRAINING = {
  ...refuse("DRAINING", "the hub drains and takes nothing new; nothing was changed, try another hub or again"),
  retry_after_ms: 1_000,
} as const satisfies Refusal;
