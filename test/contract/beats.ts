import { beforeEach, describe, expect, test } from "vitest";
import type { BeatRow, Beats } from "../../server/ports.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import { atSecond } from "../support/entries.ts";

export interface ReadableBeats extends Beats {
  read(keys: readonly string[]): Promise<Map<string, HeartbeatInfo>>;
}

function row(seconds: number, over: Partial<BeatRow> = {}): BeatRow {
  return {
    projectId: "p",
    sessionId: "s",
    lastHeartbeatAt: atSecond(seconds),
    heartbeat: { activity: `at ${seconds}` },
    claim: false,
    ...over,
  };
}

/** What all Beats do. `fresh` makes an empty one. */
export function beatsContract(name: string, fresh: () => Promise<ReadableBeats>): void {
  describe(`beats in ${name}`, () => {
    let beats: ReadableBeats;
    beforeEach(async () => {
      beats = await fresh();
    });

    const read = async () => (await beats.read(["p/s"])).get("p/s");

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

    test("rows of several sessions are read by their keys; unknown ones are absent", async () => {
      await beats.write("hub.1", [row(1), row(2, { sessionId: "t" }), row(3, { projectId: "q" })]);
      const found = await beats.read(["p/s", "p/t", "p/none"]);
      expect([...found.keys()].toSorted()).toEqual(["p/s", "p/t"]);
      await beats.write("hub.1", []);
      expect(await beats.read([])).toEqual(new Map());
    });
  });
}
