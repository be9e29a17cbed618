import type { HubToViewer } from "../../shared/messages/down.ts";
import type { ChangesFrame, PositionFrame } from "../../shared/messages/frames.ts";
import { type Position, positionText } from "../../shared/position.ts";

/** One message as a server-sent event; with an id when it moves the position. JSON has no line breaks of its own. */
export function eventText<E extends keyof HubToViewer>(
  event: E,
  message: Parameters<HubToViewer[E]>[0],
  at?: Position,
): Buffer {
  const id = at === undefined ? "" : `id: ${positionText(at)}\n`;
  return Buffer.from(`event: ${event}\n${id}data: ${JSON.stringify(message)}\n\n`);
}

/** How long the client waits before it connects again. */
export function retryText(ms: number): Buffer {
  return Buffer.from(`retry: ${Math.round(ms)}\n\n`);
}

/** Where a viewer has to stand to take the frame, and where it stands then. */
export function spanOf(frame: ChangesFrame | PositionFrame): { readonly from: Position; readonly to: Position } {
  const { epoch } = frame;
  if ("seq" in frame) return { from: frame, to: frame };
  return { from: { epoch, seq: frame.from_seq - 1 }, to: { epoch, seq: frame.to_seq } };
}
