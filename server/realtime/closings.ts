import type { Closing } from "../../shared/messages/notices.ts";
import { DRAINING } from "../drain/refusal.ts";

/** For clients that did not go when they were asked to. */
export const MOVE_NOW: Closing = {
  code: "DRAINING",
  message: "the hub drains; connect again, to any hub",
  reconnect: true,
  reconnect_after_ms: DRAINING.retry_after_ms,
};

export function slowConsumer(queueBytes: number, reconnectAfterMs: number): Closing {
  return {
    code: "SLOW_CONSUMER",
    message: `more than ${queueBytes} bytes were not read in time`,
    reconnect: true,
    reconnect_after_ms: reconnectAfterMs,
  };
}
