import { describe, expect, test } from "vitest";
import { type DisplayState, displayState } from "../../shared/display.ts";
import { Liveness, type Session, SessionStatus } from "../../shared/entities.ts";
import { AT, atSecond } from "../support/entries.ts";

/** [R20] What a person sees, for every pair; it compiles only when each is decided. */
const DISPLAY: Record<SessionStatus, Record<Liveness, DisplayState>> = {
  ACTIVE: { online: "working", stale: "stale", lost: "lost", ended: "unknown", unmonitored: "unmonitored" },
  IDLE: { online: "idle", stale: "stale", lost: "lost", ended: "unknown", unmonitored: "unmonitored" },
  WAITING: { online: "needs you", stale: "stale", lost: "lost", ended: "needs you", unmonitored: "needs you" },
  PAUSED: { online: "paused", stale: "stale", lost: "lost", ended: "unknown", unmonitored: "unmonitored" },
  COMPLETED: { online: "finished", stale: "finished", lost: "finished", ended: "finished", unmonitored: "finished" },
  FAILED: { online: "failed", stale: "failed", lost: "failed", ended: "failed", unmonitored: "failed" },
  CANCELLED: {
    online: "cancelled",
    stale: "cancelled",
    lost: "cancelled",
    ended: "cancelled",
    unmonitored: "cancelled",
  },
};

function session(over: Partial<Session>): Session {
  return {
    session_id: "s",
    project_id: "p",
    status: "ACTIVE",
    liveness: "online",
    machine_id: "m",
    environment: "production",
    metadata: {},
    incarnation: 1,
    created_at: AT,
    updated_at: atSecond(5),
    version: 2,
    seq: 2,
    ...over,
  };
}

describe("displayState", () => {
  const pairs = SessionStatus.options.flatMap((status) => Liveness.options.map((liveness) => ({ status, liveness })));

  test.each(pairs)("[R20] $status and $liveness", ({ status, liveness }) => {
    const display = displayState(session({ status, liveness }));
    expect(display.state).toBe(DISPLAY[status][liveness]);
    expect(display.reason).not.toBe("");
    if (display.state === "working") expect(liveness).toBe("online");
  });

  test("[R20] what is not known is never working", () => {
    const newer = [{ status: "DREAMING" as never }, { liveness: "asleep" as never }];
    for (const over of newer) expect(displayState(session(over)).state).toBe("unknown");
  });

  test("[R19] since when is the time of what is shown", () => {
    expect(displayState(session({})).since).toBe(atSecond(5));
    expect(displayState(session({ status: "FAILED", liveness: "ended", ended_at: atSecond(3) })).since).toBe(
      atSecond(3),
    );
    expect(displayState(session({ liveness: "lost", lost_at: atSecond(4) })).since).toBe(atSecond(4));
    const waiting_for = { kind: "review", question: "Good?", since: atSecond(2) } as const;
    const asking = displayState(session({ status: "WAITING", waiting_for }));
    expect(asking).toEqual({ state: "needs you", reason: "Good?", since: atSecond(2) });
    const silent = session({ status: "WAITING", waiting_for: { ...waiting_for, question: "" } });
    expect(displayState(silent).reason).toBe("waits for review");
  });
});
