import { beforeEach, describe, expect, test } from "vitest";
import type { BeatRow, Beats } from "../../server/ports.ts";
import { atSecond } from "../support/entries.ts";

function row(seconds: number, over: Partial<BeatRow> = {}): BeatRow {
  return {
    projectId: "p",
    sessionId: "s",
    incarnation: 1,
    lastHeartbeatAt: atSecond(seconds),
    lastActivityAt: undefined,
    heartbeat: { activity: `at ${seconds}` },
    isStill: false,
    claim: false,
    ...over,
  };
}

/** What all Beats do. `fresh` makes an empty one. */
export function beatsContract(name: string, fresh: () => Promise<Beats>): void {
  describe(`beats in ${name}`, () => {
    let beats: Beats;
    beforeEach(async () => {
      beats = await fresh();
    });

    const read = async () => (await beats.read(["p/s"])).get("p/s")?.info;

    test("[B7] the last row stands, as a whole", async () => {
      await beats.write("hub.1", [row(1, { heartbeat: { progress: 0.5, activity: "x" } })]);
      await beats.write("hub.1", [row(2, { heartbeat: { metrics: { cpu: 1 } } })]);
      expect(await read()).toEqual({ last_heartbeat_at: atSecond(2), metrics: { cpu: 1 } });
    });

    test("a hub writes its own rows only; a claim takes the row over", async () => {
      await beats.write("hub.1", [row(1)]);
      await beats.write("hub.2", [row(2)]);
      expect(await read()).toMatchObject({ last_heartbeat_at: atSecond(1) });
      await beats.write("hub.2", [row(3, { claim: true })]);
      await beats.write("hub.1", [row(4)]);
      expect(await read()).toMatchObject({ last_heartbeat_at: atSecond(3) });
    });

    test("[F20] what is told of the work's last move stays with the owner that it was heard from", async () => {
      await beats.write("hub.1", [row(5, { incarnation: 3, lastActivityAt: atSecond(2) })]);
      const info = { last_heartbeat_at: atSecond(5), last_activity_at: atSecond(2), activity: "at 5" };
      expect((await beats.read(["p/s"])).get("p/s")).toEqual({ incarnation: 3, info });
      await beats.write("hub.1", [row(6, { incarnation: 4 })]);
      expect(await read()).toEqual({ last_heartbeat_at: atSecond(6), activity: "at 6" });
    });

    test("[R51] rows whose work stands still are found, those heard of last first", async () => {
      const still = { isStill: true, claim: true };
      await beats.write("hub.1", [row(5, still), row(6, { ...still, sessionId: "t" }), row(7, { sessionId: "u" })]);
      await beats.write("hub.1", [row(1, { ...still, projectId: "q" })]);
      expect(await beats.findStill(atSecond(2), 10)).toEqual(["p/t", "p/s"]);
      expect(await beats.findStill(atSecond(0), 2)).toEqual(["p/t", "p/s"]);
      await beats.write("hub.1", [row(8, { sessionId: "t" })]);
      expect(await beats.findStill(atSecond(2), 10)).toEqual(["p/s"]);
    });

    test("[D27] rows are removed by their keys, and what was on its way does not bring them back", async () => {
      await beats.write("hub.1", [row(1), row(2, { sessionId: "t" })]);
      await beats.remove(["p/s", "p/none"]);
      await beats.write("hub.1", [row(2), row(2, { sessionId: "none", claim: true })]);
      expect([...(await beats.read(["p/s", "p/t", "p/none"])).keys()]).toEqual(["p/t"]);
    });

    test("rows of several sessions are read by their keys; unknown ones are absent", async () => {
      await beats.write("hub.1", [row(1), row(2, { sessionId: "t" }), row(3, { projectId: "q" })]);
      const found = await beats.read(["p/s", "p/t", "p/none"]);
      expect([...found.keys()].toSorted()).toEqual(["p/s", "p/t"]);
      await beats.write("hub.1", []);
      expect(await beats.read([])).toEqual(new Map());
    });
  });
}
