import { describe, expect, test } from "vitest";
import {
  DEFAULT_STALLED_AFTER_MS,
  type Display,
  type DisplayState,
  displayState,
  type LastHeard,
} from "../../shared/display.ts";
import { Liveness, SessionStatus, type WaitingFor } from "../../shared/entities.ts";
import { AT, atSecond, sampleSession } from "../support/entries.ts";

const STALLED_AFTER_S = DEFAULT_STALLED_AFTER_MS / 1_000;

/** Every time of the session is another one, so that a table can name where `since` comes from. */
const CREATED = AT;
const ASKED = atSecond(2);
const LOST = atSecond(3);
const ENDED = atSecond(4);
const UPDATED = atSecond(5);
const MOVED = atSecond(6);
const HEARD = atSecond(6 + STALLED_AFTER_S);

/** The newest heartbeat, where the work moves, where it stands still for exactly long enough, and where there is none. */
const HEARTBEAT = {
  moving: { last_heartbeat_at: HEARD, last_activity_at: atSecond(7) },
  standing: { last_heartbeat_at: HEARD, last_activity_at: MOVED },
  unheard: undefined,
} as const satisfies Record<string, LastHeard | undefined>;
type Work = keyof typeof HEARTBEAT;

const WAITS = {
  asking: { kind: "permission", question: "Deploy?", since: ASKED },
  "asking nothing": { kind: "review", question: "", since: ASKED },
  absent: undefined,
} as const satisfies Record<string, WaitingFor | undefined>;
type Waits = keyof typeof WAITS;

/** What is expected, and how it depends on the rest where it does. */
type Row = Display | Record<Work, Display>;
type WaitingRow = Record<Waits, Row>;

const row = (state: DisplayState, reason: string, since: string): Display => ({ state, reason, since });

const STALE = {
  moving: row("stale", "its agent missed its heartbeats", HEARD),
  standing: row("stale", "its agent missed its heartbeats", HEARD),
  unheard: row("stale", "its agent missed its heartbeats", UPDATED),
};
const LOST_ROW = row("lost", "its agent is gone", LOST);
const UNMONITORED = row("unmonitored", "no agent has opened it", CREATED);
const CONTRADICTION = row("unknown", "liveness is ended", UPDATED);
const NEEDS_YOU: WaitingRow = {
  asking: row("needs you", "Deploy?", ASKED),
  "asking nothing": row("needs you", "waits for review", ASKED),
  absent: row("needs you", "waits for input", UPDATED),
};

const withReason = (rows: Record<Work, Display>, more: string): Record<Work, Display> => ({
  moving: { ...rows.moving, reason: rows.moving.reason + more },
  standing: { ...rows.standing, reason: rows.standing.reason + more },
  unheard: { ...rows.unheard, reason: rows.unheard.reason + more },
});
const everywhere = (display: Display): Record<Liveness, Row> => ({
  online: display,
  stale: display,
  lost: display,
  ended: display,
  unmonitored: display,
});

/** [R20] What a person sees. A status, a liveness or a state of the work more, and this does not compile. */
const LIVE: Record<Exclude<SessionStatus, "WAITING">, Record<Liveness, Row>> = {
  ACTIVE: {
    online: {
      moving: row("working", "active", UPDATED),
      standing: row("stalled", "its agent is there, but nothing moves", MOVED),
      unheard: row("working", "active", UPDATED),
    },
    stale: STALE,
    lost: LOST_ROW,
    ended: CONTRADICTION,
    unmonitored: UNMONITORED,
  },
  IDLE: {
    online: row("idle", "nothing to do", UPDATED),
    stale: STALE,
    lost: LOST_ROW,
    ended: CONTRADICTION,
    unmonitored: UNMONITORED,
  },
  PAUSED: {
    online: row("paused", "paused", UPDATED),
    stale: STALE,
    lost: LOST_ROW,
    ended: CONTRADICTION,
    unmonitored: UNMONITORED,
  },
  COMPLETED: everywhere(row("finished", "completed", ENDED)),
  FAILED: everywhere(row("failed", "ended as failed", ENDED)),
  CANCELLED: everywhere(row("cancelled", "cancelled", ENDED)),
};
const WAITING: Record<Liveness, WaitingRow> = {
  online: NEEDS_YOU,
  stale: {
    asking: withReason(STALE, "; it asked: Deploy?"),
    "asking nothing": withReason(STALE, "; it waits for review"),
    absent: withReason(STALE, "; it waits for input"),
  },
  lost: {
    asking: row("lost", "its agent is gone; it asked: Deploy?", LOST),
    "asking nothing": row("lost", "its agent is gone; it waits for review", LOST),
    absent: row("lost", "its agent is gone; it waits for input", LOST),
  },
  ended: NEEDS_YOU,
  unmonitored: NEEDS_YOU,
};

const base = sampleSession({ created_at: CREATED, updated_at: UPDATED, ended_at: ENDED, lost_at: LOST });

function expected(status: SessionStatus, liveness: Liveness, waits: Waits, work: Work): Display {
  const found = status === "WAITING" ? WAITING[liveness][waits] : LIVE[status][liveness];
  return "state" in found ? found : found[work];
}

const combinations = SessionStatus.options.flatMap((status) =>
  Liveness.options.flatMap((liveness) =>
    (Object.keys(WAITS) as Waits[]).flatMap((waits) =>
      (Object.keys(HEARTBEAT) as Work[]).map((work) => ({ status, liveness, waits, work })),
    ),
  ),
);

describe("displayState", () => {
  test.each(combinations)("[R20] [R42] $status, $liveness, work $work, question $waits", (combination) => {
    const { status, liveness, waits, work } = combination;
    const waiting_for = WAITS[waits];
    const session = { ...base, status, liveness, ...(waiting_for === undefined ? {} : { waiting_for }) };
    const display = displayState(session, HEARTBEAT[work]);
    expect(display).toEqual(expected(status, liveness, waits, work));
    if (display.state === "working") expect(liveness).toBe("online");
  });

  test("[R20] what is not known is never working", () => {
    const newer = [{ status: "DREAMING" as never }, { liveness: "asleep" as never }];
    for (const over of newer) expect(displayState({ ...base, ...over }).state).toBe("unknown");
  });

  test.each<[string, LastHeard, number | undefined, DisplayState]>([
    [
      "a moment before",
      { ...HEARTBEAT.standing, last_heartbeat_at: atSecond(5.999 + STALLED_AFTER_S) },
      undefined,
      "working",
    ],
    ["exactly then", HEARTBEAT.standing, undefined, "stalled"],
    [
      "after a shorter time, where the hub says so",
      { last_heartbeat_at: atSecond(8), last_activity_at: MOVED },
      2_000,
      "stalled",
    ],
    ["never, where the hub has it switched off", HEARTBEAT.standing, 0, "working"],
    ["not while the agent tells nothing of its work", { last_heartbeat_at: HEARD }, undefined, "working"],
    [
      "not by a heartbeat from before the last change",
      { last_heartbeat_at: atSecond(4), last_activity_at: atSecond(4 - STALLED_AFTER_S) },
      undefined,
      "working",
    ],
  ])("[R41] [F20] stalled %s", (_when, heard, stalledAfterMs, state) => {
    expect(displayState(base, heard, stalledAfterMs).state).toBe(state);
  });

  test("[R41] a silent agent's session says that it is silent", () => {
    expect(displayState(base, { last_heartbeat_at: HEARD }).reason).toBe(
      "active; its agent says nothing of its progress",
    );
  });

  test("[R42] times that are missing are bounded by the last change", () => {
    const { lost_at: _lost, ended_at: _ended, ...bare } = base;
    expect(displayState({ ...bare, liveness: "lost" }).since).toBe(UPDATED);
    expect(displayState({ ...bare, status: "FAILED", liveness: "ended" }).since).toBe(UPDATED);
  });
});
