import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

test("[D12] [D3] two hubs write one project at the same time: one order, nothing lost, nothing twice", async () => {
  const uri = stage.database().uri;
  const key = randomUUID();
  const hubs = [await stage.hub({ uri, key }), await stage.hub({ uri, key })];
  const seen = await viewer(stage, hubs[0] as (typeof hubs)[0]);
  const joined = await seen.askOk("project:join", { project_id: "hot" });
  const PUBLISHES = 40;
  await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const wire = await agent(stage, hubs[index % 2] as (typeof hubs)[0]);
      const session = { session_id: `s${index}`, project_id: "hot", machine_id: "m" };
      await wire.askOk("session:open", session);
      for (let op = 1; op <= PUBLISHES; op++) {
        await wire.askOk("changes:publish", {
          session_id: session.session_id,
          incarnation: 1,
          op,
          changes: [{ kind: "session", metadata: { op } }],
        });
      }
    }),
  );
  const total = 10 * (PUBLISHES + 1);
  const database = await openDatabase(stage, uri);
  const entries = await database.entries("hot");
  const changes = entries.flatMap((entry) => entry.changes);
  expect(changes.map((change) => change.seq)).toEqual(Array.from({ length: total }, (_, index) => index + 1));
  const ops = changes.filter((change) => change.op !== undefined).map((change) => `${change.id}/${change.op}`);
  expect(new Set(ops).size).toBe(10 * PUBLISHES);
  expect(ops).toHaveLength(10 * PUBLISHES);
  const writers = new Set(entries.map((entry) => entry.hub_id));
  expect(writers.size).toBe(2);
  await eventually("all frames on the first hub", () => seen.messages("changes").at(-1)?.to_seq === total);
  let seq = joined.seq;
  for (const frame of seen.messages("changes")) {
    expect(frame.from_seq).toBe(seq + 1);
    seq = frame.to_seq;
  }
});

test("[F19] what another hub commits reaches viewers here without Redis", async () => {
  const uri = stage.database().uri;
  const key = randomUUID();
  const here = await stage.hub({ uri, key, overrides: { bounds: { headPollMs: 100 } } });
  const there = await stage.hub({ uri, key });
  const seen = await viewer(stage, here);
  await seen.askOk("project:join", { project_id: "p" });
  await (await agent(stage, there)).askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
  expect((await seen.hears("changes"))[0]).toMatchObject({ from_seq: 1, to_seq: 1 });
});

test("[O6] [O14] [P12] an agent moves to another hub: same incarnation, its last op is a duplicate there", async () => {
  const uri = stage.database().uri;
  const key = randomUUID();
  const one = await stage.hub({ uri, key });
  const two = await stage.hub({ uri, key });
  const first = await agent(stage, one, "a");
  const session = { session_id: "s", project_id: "p", machine_id: "m" };
  const { token } = await first.askOk("session:open", session);
  const publish = { session_id: "s", incarnation: 1, op: 1, changes: [{ kind: "session", status: "IDLE" }] };
  const original = await first.askOk("changes:publish", publish);
  const second = await agent(stage, two, "a");
  const back: Json = await second.askOk("session:open", { ...session, incarnation: 1, token });
  expect(back).toMatchObject({ resumed: true, incarnation: 1, last_op: 1, seq: 3, session: { hub_id: two.hubId } });
  expect(await second.askOk("changes:publish", publish)).toEqual({ ...original, duplicate: true });
  const database = await openDatabase(stage, uri);
  const changes = (await database.entries("p")).flatMap((entry) => entry.changes);
  expect(changes.at(-1)).toMatchObject({ type: "updated", actor: { kind: "hub" }, patch: { hub_id: two.hubId } });
});

test("[P19] a late writer is fenced through another hub too", async () => {
  const uri = stage.database().uri;
  const key = randomUUID();
  const one = await stage.hub({ uri, key });
  const two = await stage.hub({ uri, key });
  const session = { session_id: "s", project_id: "p", machine_id: "m" };
  const old = await agent(stage, one, "a");
  await old.askOk("session:open", session);
  const newer = await agent(stage, two, "a");
  expect(await newer.askOk("session:open", session)).toMatchObject({ incarnation: 2 });
  const late = await old.ask("changes:publish", {
    session_id: "s",
    incarnation: 1,
    op: 1,
    changes: [{ kind: "session", status: "IDLE" }],
  });
  expect(late.error.code).toBe("FENCED");
  expect(await old.hears("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "taken" }]);
});
