const FRAME_START = '["changes",';
/** All that stands before the list of changes fits here: a project id has at most 128 characters. */
const HEAD_BYTES = 400;

export interface FrameHead {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly isConflated: boolean;
}

/** The numbers of a `changes` frame, read without parsing the rest of it; undefined for other packets. */
export function frameHead(packet: Buffer): FrameHead | undefined {
  const head = packet.toString("latin1", 0, Math.min(packet.length, HEAD_BYTES));
  if (!head.includes(FRAME_START)) return undefined;
  return {
    fromSeq: numberAfter(head, '"from_seq":'),
    toSeq: numberAfter(head, '"to_seq":'),
    isConflated: head.includes('"conflated":true'),
  };
}

function numberAfter(text: string, key: string): number {
  return Number.parseInt(text.slice(text.indexOf(key) + key.length), 10);
}
