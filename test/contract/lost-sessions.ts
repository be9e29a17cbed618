import { describe, expect, test } from "vitest";
import type { SessionRecord } from "../../server/domain/records.ts";
import type { LostSessions, Projections } from "../../server/ports.ts";
import type { Session } from "../../shared/entities.ts";
import { atSecond, sampleSession } from "../support/entries.ts";

function session(sessionId: string, over: Partial<Session>): SessionRecord {
  const lost = { session_id: sessionId, liveness: "lost", hub_id: "hub.1", incarnation: 3 } as const;
  const entity = sampleSession({ ...lost, ...over });
  return { entity, appliedSeq: 1, lastOp: 0, lastOpSeq: 0, editVersion: 1 };
}

interface Stores {
  readonly projections: Projections;
  readonly lostSessions: LostSessions;
}

/** What all LostSessions do. `fresh` makes an empty one over its documents. */
export function lostSessionsContract(name: string, fresh: () => Promise<Stores>): void {
  describe(`lost sessions in ${name}`, () => {
    test("are those that are lost now, since before the time, the longest lost first", async () => {
      const { projections, lostSessions } = await fresh();
      const sessions = [
        session("late", { lost_at: atSecond(30) }),
        session("at", { lost_at: atSecond(20) }),
        session("second", { lost_at: atSecond(19), project_id: "q" }),
        session("first", { lost_at: atSecond(1) }),
        session("online", { liveness: "online" }),
        session("stale", { liveness: "stale" }),
        session("ended", { liveness: "ended", status: "FAILED", ended_at: atSecond(9), lost_at: atSecond(2) }),
      ];
      await projections.write({ sessions, tasks: [] });
      await projections.settle();
      const first = { projectId: "p", sessionId: "first", hubId: "hub.1", incarnation: 3 };
      const second = { ...first, projectId: "q", sessionId: "second" };
      expect(await lostSessions.findBefore(atSecond(20), 10)).toEqual([first, second]);
      expect(await lostSessions.findBefore(atSecond(20), 1)).toEqual([first]);
      expect(await lostSessions.findBefore(atSecond(1), 10)).toEqual([]);
    });
  });
}
