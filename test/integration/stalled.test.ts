import { afterEach, expect, test } from "vitest";
import { followProject } from "../../client/follower.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const AFTER_MS = 400;
const QUICK = {
  env: { STALLED_AFTER_MS: String(AFTER_MS) },
  overrides: { bounds: { beatWriteBackMs: 50, heartbeatFrameMs: 50 } },
};

const displayOf = async (hub: TestHub) => (await rest(hub, "GET /sessions/s")).body.display;
const beat = (wire: Wire, incarnation: number, activity?: string) =>
  wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation, ...(activity && { activity }) }] });

async function open(hub: TestHub, proof = {}) {
  const wire = await agent(stage, hub, "a");
  return { wire, ...(await wire.askOk("session:open", { session_id: "s", machine_id: "m", ...proof })) };
}

test("[R41] [F20] [H6] an agent that goes on beating while nothing moves is stalled, until something moves", async () => {
  const hub = await stage.hub(QUICK);
  const { wire, incarnation } = await open(hub);
  const viewing = await viewer(stage, hub);
  expect(viewing.messages("welcome")[0].stalled_after_ms).toBe(AFTER_MS);
  const project = stage.add(followProject({ url: hub.url, key: hub.key, heartbeats: true }), (one) => one.close());
  await beat(wire, incarnation, "linking");
  const moved = (await rest(hub, "GET /sessions/s")).body.last_activity_at;
  expect((await displayOf(hub)).state).toBe("working");
  const stalled = await eventually("stalled", async () => {
    await beat(wire, incarnation, "linking");
    const display = await displayOf(hub);
    return display.state === "stalled" && display;
  });
  expect(stalled).toMatchObject({ since: moved });
  await eventually("the mirror says the same", () => project.display("s")?.state === "stalled");
  expect(project.display("s")).toEqual(stalled);
  await wire.askOk("changes:publish", {
    session_id: "s",
    incarnation,
    op: 1,
    changes: [{ kind: "task", task_id: "t", title: "Pack" }],
  });
  expect((await displayOf(hub)).state).toBe("working");
  await eventually("the mirror too", () => project.display("s")?.state === "working");
});

test("[R41] who waits, idles or tells nothing of its work is not stalled", async () => {
  const hub = await stage.hub({ ...QUICK, env: { STALLED_AFTER_MS: "1" } });
  const { wire, incarnation } = await open(hub);
  await beat(wire, incarnation);
  await beat(wire, incarnation);
  expect(await displayOf(hub)).toMatchObject({
    state: "working",
    reason: "active; its agent says nothing of its progress",
  });
  for (const [op, status, state] of [
    [1, "WAITING", "needs you"],
    [2, "IDLE", "idle"],
    [3, "PAUSED", "paused"],
  ] as const) {
    await wire.askOk("changes:publish", { session_id: "s", incarnation, op, changes: [{ kind: "session", status }] });
    await eventually("a heartbeat well after the change", async () => {
      await beat(wire, incarnation, "same words");
      const { last_activity_at, last_heartbeat_at } = (await rest(hub, "GET /sessions/s")).body;
      return Date.parse(last_heartbeat_at) - Date.parse(last_activity_at) > 10;
    });
    expect((await displayOf(hub)).state).toBe(state);
  }
});

test("[F20] since when it stands still outlives the hub, and shows on others", async () => {
  const { uri } = stage.database();
  const hub = await stage.hub({ ...QUICK, uri });
  const other = await stage.hub({ ...QUICK, uri });
  const first = await open(hub);
  await beat(first.wire, first.incarnation, "linking");
  const moved = (await rest(hub, "GET /sessions/s")).body.last_activity_at;
  await eventually("the other hub", async () => {
    await beat(first.wire, first.incarnation, "linking");
    return (await displayOf(other)).state === "stalled";
  });
  expect(await displayOf(other)).toMatchObject({ since: moved });
  await hub.stop();
  const { wire, incarnation, resumed } = await open(other, { incarnation: first.incarnation, token: first.token });
  expect(resumed).toBe(true);
  await eventually("stalled again", async () => {
    await beat(wire, incarnation, "linking");
    return (await displayOf(other)).state === "stalled";
  });
  expect(await displayOf(other)).toMatchObject({ since: moved });
});
