import { describe, expect, test } from "vitest";
import type { PublishRecord, ViewerRecord } from "../../bench/torture/check-history.ts";
import { lagMs, remoteLags, wholeAfterMs } from "../../bench/torture/lag.ts";

const NEVER = Number.POSITIVE_INFINITY;

function acked(seq: number, atMs: number, hub = 0): PublishRecord {
  const course = { hub, attempts: 1, sent_ms: atMs - 5, settled_ms: atMs };
  const publish = { project_id: "p", session_id: "s", incarnation: 1, op: seq, mark: `m${seq}`, changes: 1 };
  return { ...publish, outcome: "acked", seq, course };
}

function frame(from_seq: number, to_seq: number, at_ms: number): ViewerRecord["steps"][number] {
  return { type: "changes", epoch: "e", from_seq, to_seq, at_ms };
}

function viewer(steps: ViewerRecord["steps"], modes: ViewerRecord["modes"] = []): ViewerRecord {
  return { name: "v", project_id: "p", hub: 1, steps, modes, mirror: [] };
}

describe("the time from an ack to a viewer on another hub", () => {
  test("is that to the first frame that holds the change, and 0 when the frame was faster", () => {
    const viewers = [viewer([frame(1, 1, 90), frame(2, 4, 160)])];
    const publishes = [acked(1, 100), acked(2, 110), acked(4, 150), acked(5, 170)];
    expect(remoteLags({ publishes, viewers }).map(lagMs)).toEqual([0, 50, 10, NEVER]);
  });

  test("counts a snapshot as well, and leaves out its own hub, other projects, refusals and those who move", () => {
    const snapshot = { type: "snapshot", epoch: "e", seq: 3, at_ms: 130 } as const;
    const { hub: _, ...moving } = viewer([]);
    const publishes = [acked(3, 100), acked(4, 100, 1), { ...acked(5, 100), project_id: "q" }];
    const refused = { ...acked(6, 100), outcome: "refused" } as const;
    const lags = remoteLags({ publishes: [...publishes, refused], viewers: [viewer([snapshot]), moving] });
    expect(lags.map(lagMs)).toEqual([30]);
  });
});

describe("whole again", () => {
  const publishes = [acked(1, 100), acked(2, 220), acked(3, 400)];
  const whole = (steps: ViewerRecord["steps"], modes: ViewerRecord["modes"]) => {
    const viewers = [viewer(steps, modes)];
    return wholeAfterMs(remoteLags({ publishes, viewers }), viewers, 200);
  };
  const frames = [frame(1, 1, 100), frame(2, 2, 280), frame(3, 3, 900)];

  test("is when all that had been acked until `live` has come", () => {
    expect(whole(frames, [{ mode: "live", at_ms: 250 }])).toBe(80);
  });

  test("is not before `live`, and never without", () => {
    expect(whole(frames, [{ mode: "live", at_ms: 300 }])).toBe(100);
    expect(whole(frames, [{ mode: "live", at_ms: 150 }])).toBe(NEVER);
  });

  test("is never when something is missing for good", () => {
    expect(whole(frames.slice(0, 1), [{ mode: "live", at_ms: 250 }])).toBe(NEVER);
  });
});
