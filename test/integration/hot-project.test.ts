import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { LogCheck, openDatabase } from "../support/log-check.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const HUBS = 4;
const AGENTS_PER_HUB = 5;
const PUBLISHES = 15;

/** As a client does: what is not certain, or came at a bad moment, is settled by asking again. */
async function settled(wire: Wire, event: string, message: object): Promise<Json> {
  for (;;) {
    const answer = await wire.ask(event, message);
    if (answer.ok) return answer;
    if (!answer.error.retryable) throw new Error(`${event} was refused: ${JSON.stringify(answer.error)}`);
  }
}

test.each([
  ["with Redis", true],
  ["without Redis", false],
])(
  "[D12] [D21] [D2] four hubs write one hot project, %s: one log, each acked op once, the same for all viewers",
  { timeout: 120_000 },
  async (_, hasRedis) => {
    const uri = stage.database().uri;
    const key = randomUUID();
    const env: Record<string, string> = hasRedis ? { REDIS_URL: (await OwnRedis.start(stage)).url } : {};
    const hubs: TestHub[] = [];
    while (hubs.length < HUBS) hubs.push(await stage.hub({ uri, key, env }));
    const viewers = await Promise.all(hubs.map((hub) => viewer(stage, hub)));
    for (const seen of viewers) await seen.askOk("project:join", { project_id: "hot" });

    const sessions = await Promise.all(
      Array.from({ length: HUBS * AGENTS_PER_HUB }, async (_, index) => {
        const wire = await agent(stage, hubs[index % HUBS] as TestHub, `a${index}`);
        const session_id = `s${index}`;
        const { incarnation } = await settled(wire, "session:open", { session_id, project_id: "hot", machine_id: "m" });
        for (let op = 1; op <= PUBLISHES; op++) {
          const changes = [{ kind: "session", metadata: { op } }];
          await settled(wire, "changes:publish", { session_id, incarnation, op, changes });
        }
        return { session_id, incarnation };
      }),
    );

    const check = new LogCheck();
    for (const entry of await (await openDatabase(stage, uri)).entries("hot")) check.add(entry);
    for (const { session_id, incarnation } of sessions) check.acked("hot", session_id, PUBLISHES, incarnation);
    expect(check.failures).toEqual([]);
    expect(check.writers).toEqual(new Set(hubs.map(({ hubId }) => hubId)));
    const head = check.headOf("hot");
    expect(head).toBeGreaterThanOrEqual(HUBS * AGENTS_PER_HUB * (PUBLISHES + 1));
    await eventually("every viewer has everything", () =>
      viewers.every((wire) => wire.messages("changes").at(-1)?.to_seq === head),
    );
    const [first, ...others] = viewers.map((wire) => wire.messages("changes").flatMap(({ changes }: Json) => changes));
    expect(first?.map(({ seq }: Json) => seq)).toEqual(Array.from({ length: head }, (_, index) => index + 1));
    for (const other of others) expect(other).toEqual(first);
  },
);
