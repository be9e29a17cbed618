import { afterEach, describe, expect, test } from "vitest";
import { connectAgent } from "../../client/index.ts";
import { eventually } from "../support/eventually.ts";
import { RawSocket, type UpgradeRefused } from "../support/raw-socket.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const CONNECT_ERROR = "44/agents,";

/** Sends CONNECT on a new connection; undefined when it was accepted, else what the refusal says. */
async function knock(hub: TestHub): Promise<{ socket: RawSocket; refusal: Json | undefined }> {
  const socket = await RawSocket.open(stage, hub);
  socket.send(`40/agents,${JSON.stringify({ key: hub.key })}`);
  const isAnswered = () => socket.packets.some((packet) => /^4[04]\/agents,/.test(packet));
  await eventually("an answer to CONNECT", isAnswered);
  const isRefused = socket.packets.some((packet) => packet.startsWith(CONNECT_ERROR));
  return { socket, refusal: isRefused ? (await socket.hears(CONNECT_ERROR)).data : undefined };
}

describe("[H15] [H16] many that connect at once", () => {
  test("are taken at a pace; the others hear when to come back, one after the other, and are closed", async () => {
    // Whatever else this machine does.
    const bounds = { acceptLagMs: 60_000, acceptPauseMostMs: 600_000 };
    const hub = await stage.hub({ env: { MAX_CONNECTS_PER_SECOND: "2" }, overrides: { bounds } });
    const bystander = await agent(stage, hub, "bystander");
    await bystander.askOk("session:open", { session_id: "s", machine_id: "m" });
    const beganAt = performance.now();
    const storm = Promise.all(Array.from({ length: 200 }, () => knock(hub)));
    const acks: number[] = [];
    let isOver = false;
    const publishing = (async () => {
      for (let op = 1; !isOver; op += 1) {
        const startedAt = performance.now();
        const changes = [{ kind: "session", metadata: { op } }];
        await bystander.askOk("changes:publish", { session_id: "s", incarnation: 1, op, changes });
        acks.push(performance.now() - startedAt);
      }
    })();
    const answers = await storm;
    const seconds = (performance.now() - beganAt) / 1_000;
    isOver = true;
    await publishing;
    expect(acks.length).toBeGreaterThan(0);
    expect(Math.max(...acks)).toBeLessThan(5_000);
    const refused = answers.filter(({ refusal }) => refusal !== undefined);
    expect(refused.length).toBeGreaterThan(100);
    expect(answers.length - refused.length).toBeLessThanOrEqual(2 * seconds + 1);
    for (const { refusal } of refused) {
      expect(refusal).toMatchObject({ code: "OVERLOADED", retry_after_ms: expect.any(Number) });
    }
    const pauses = refused.map(({ refusal }) => refusal.retry_after_ms as number);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(500);
    // The last of so many at two a second; the line moved on while they came.
    expect(Math.max(...pauses)).toBeGreaterThan((refused.length / 2) * 1_000 * 0.5);
    const perSecond = new Map<number, number>();
    for (const pause of pauses)
      perSecond.set(Math.floor(pause / 1_000), (perSecond.get(Math.floor(pause / 1_000)) ?? 0) + 1);
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(5);
    await Promise.all(refused.map(({ socket }) => socket.ends()));
  });

  test("are all taken when they keep to what they were told", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTS_PER_SECOND: "50" } });
    const comeIn = async (): Promise<number> => {
      for (let tries = 1; ; tries += 1) {
        const { refusal } = await knock(hub);
        if (refusal === undefined) return tries;
        await new Promise((resolve) => setTimeout(resolve, refusal.retry_after_ms));
      }
    };
    const tries = await Promise.all(Array.from({ length: 120 }, comeIn));
    expect(Math.max(...tries)).toBeLessThanOrEqual(4);
  });

  test("the SDK comes in by itself, at its place in the line", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTS_PER_SECOND: "1" } });
    const coming = ["a", "b", "c"].map((name) => {
      const one = connectAgent({ url: hub.url, key: hub.key, agentId: name });
      return stage.add(one, () => one.close()).open({ sessionId: name, machineId: "m" });
    });
    const acks = coming.map((session) => session.publish([{ kind: "session", metadata: { in: true } }]));
    await Promise.all(acks);
  });

  test("strangers do not use up what is there for those with a key", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTS_PER_SECOND: "4" } });
    const stranger = { ...hub, key: "00000000-0000-4000-8000-000000000000" };
    const strangers = await Promise.all(Array.from({ length: 50 }, () => knock(stranger)));
    for (const { refusal } of strangers) expect(refusal.code).toBe("UNAUTHENTICATED");
    expect((await knock(hub)).refusal).toBeUndefined();
  });

  test("a second CONNECT on a connection that was refused does not come in either", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTS_PER_SECOND: "1" } });
    await knock(hub);
    const { socket, refusal } = await knock(hub);
    expect(refusal.code).toBe("OVERLOADED");
    socket.send(...Array.from({ length: 100 }, () => `40/agents,${JSON.stringify({ key: hub.key })}`));
    await socket.ends();
    expect(socket.packets.filter((packet) => packet.startsWith("40/agents,"))).toEqual([]);
  });
});

describe("[H18] connections that are not accepted", () => {
  test("are bounded: past it the upgrade is refused, and those who are in are served", async () => {
    const hub = await stage.hub({ overrides: { bounds: { unconnected: 20, connectTimeoutMs: 1_000 } } });
    const bystander = await agent(stage, hub, "bystander");
    const silent = await Promise.allSettled(Array.from({ length: 60 }, () => RawSocket.open(stage, hub)));
    const refused = silent.flatMap((one) => (one.status === "rejected" ? [one.reason as UpgradeRefused] : []));
    expect(refused).toHaveLength(40);
    for (const { status, body } of refused)
      expect({ status, code: body.code }).toEqual({ status: 503, code: "OVERLOADED" });
    await bystander.askOk("session:open", { session_id: "s", machine_id: "m" });
    // Those who said nothing are closed, and others can come in.
    const come = async () => (await knock(hub).catch(() => undefined))?.refusal === undefined;
    await eventually("there is room again", come);
  });
});

describe("[H19] connections at all", () => {
  test("are bounded: one more is told to come back later, and is taken when there is room", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTIONS: "3" } });
    const held = await Promise.all([1, 2, 3].map(() => knock(hub)));
    const { socket, refusal } = await knock(hub);
    expect(refusal.code).toBe("OVERLOADED");
    expect(refusal.retry_after_ms).toBeGreaterThanOrEqual(10_000);
    await socket.ends();
    held[0]?.socket.vanish();
    await eventually("there is room again", async () => (await knock(hub)).refusal === undefined);
  });
});
