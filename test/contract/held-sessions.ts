import { beforeEach, describe, expect, test } from "vitest";
import type { HeldSessions, Projections } from "../../server/ports.ts";
import type { Session } from "../../shared/entities.ts";
import { sampleSession } from "../support/entries.ts";

interface Both {
  readonly projections: Projections;
  readonly held: HeldSessions;
}

/** What all HeldSessions do over the documents that projections write. `fresh` makes both, empty. */
export function heldSessionsContract(name: string, fresh: () => Promise<Both>): void {
  describe(`held sessions in ${name}`, () => {
    let held: HeldSessions;
    let projections: Projections;
    let seq = 0;
    beforeEach(async () => {
      ({ held, projections } = await fresh());
    });

    async function write(...sessions: readonly Partial<Session>[]): Promise<void> {
      const records = sessions.map((over) => {
        seq += 1;
        const entity = sampleSession({ seq, ...over });
        return { entity, appliedSeq: seq, lastOp: 0, lastOpSeq: 0, editVersion: 1 };
      });
      await projections.write({ sessions: records, tasks: [] });
      await projections.settle();
    }

    const ids = async (hubId: string) => (await held.readOf(hubId, undefined, 10)).map((found) => found.sessionId);

    test("ids of what is online or stale in a project, whichever hub has it, and no more than wanted", async () => {
      await write(
        { session_id: "a", hub_id: "h1", liveness: "stale" },
        { session_id: "b", hub_id: "h2", status: "WAITING" },
        { session_id: "c", hub_id: "h1", liveness: "lost" },
        { session_id: "d", hub_id: "h1", liveness: "ended", status: "COMPLETED" },
        { session_id: "e", liveness: "unmonitored", incarnation: 0 },
        { session_id: "f", hub_id: "h1", project_id: "p2" },
      );
      expect((await held.idsOf("p", 10)).toSorted()).toEqual(["a", "b"]);
      expect(await held.idsOf("p", 1)).toHaveLength(1);
      expect(await held.idsOf("none", 10)).toEqual([]);
    });

    test("sessions online and stale of the hub, and no others", async () => {
      await write(
        { session_id: "a", hub_id: "h1", liveness: "stale", incarnation: 3 },
        { session_id: "b", hub_id: "h1" },
        { session_id: "c", hub_id: "h1", liveness: "lost" },
        { session_id: "d", hub_id: "h1", liveness: "ended", status: "COMPLETED" },
        { session_id: "e", hub_id: "h2" },
        { session_id: "f", liveness: "unmonitored", incarnation: 0 },
      );
      expect(await held.readOf("h1", undefined, 10)).toEqual([
        { projectId: "p", sessionId: "a", incarnation: 3, liveness: "stale" },
        { projectId: "p", sessionId: "b", incarnation: 1, liveness: "online" },
      ]);
      await write({ session_id: "b", hub_id: "h2" });
      expect(await ids("h1")).toEqual(["a"]);
      expect(await ids("h2")).toEqual(["b", "e"]);
    });

    test("page by page, in one order whatever their liveness", async () => {
      const sessions = ["a", "b", "c", "d", "e"].map((session_id, index) => ({
        ...{ session_id, hub_id: "h", liveness: index % 2 === 0 ? "online" : "stale" },
      }));
      await write(...(sessions as Partial<Session>[]), { session_id: "a", project_id: "q", hub_id: "h" });
      const first = await held.readOf("h", undefined, 4);
      const rest = await held.readOf("h", first.at(-1), 4);
      expect([...first, ...rest].map(({ projectId, sessionId }) => `${projectId}/${sessionId}`)).toEqual(
        ["p/a", "p/b", "p/c", "p/d", "p/e", "q/a"], // biome-ignore format: one order
      );
    });

    test("a hub beside the known ones is found while it has such sessions", async () => {
      await write(
        { session_id: "a", hub_id: "h1" },
        { session_id: "b", hub_id: "h2", liveness: "stale" },
        { session_id: "c", hub_id: "h3", liveness: "lost" },
        { session_id: "d", liveness: "unmonitored", incarnation: 0 },
      );
      expect(await held.findOtherHub(["h1"])).toBe("h2");
      expect(await held.findOtherHub(["h2"])).toBe("h1");
      expect(await held.findOtherHub(["h0", "h1", "h2"])).toBeUndefined();
      expect(["h1", "h2"]).toContain(await held.findOtherHub([]));
    });
  });
}
