import { inspect } from "node:util";
import { Server } from "socket.io";
import { describe, expect, test, vi } from "vitest";
import { eventually } from "../support/eventually.ts";
import { RawSocket, type UpgradeRefused } from "../support/raw-socket.ts";
import { rawHttp } from "../support/rest.ts";
import { UndisturbedHub } from "../support/undisturbed-hub.ts";
import { agent, type Json } from "../support/wire.ts";

/** Nothing below may ever disturb others. */
const served = new UndisturbedHub({ connectTimeoutMs: 400 });
const { stage } = served;
const OPEN = { session_id: "s", project_id: "p", machine_id: "m" };

describe("connections", () => {
  const connect = (auth: object, namespace = "/agents") => `40${namespace},${JSON.stringify(auth)}`;

  async function refusal(frame: string, options: Parameters<typeof RawSocket.open>[2] = {}): Promise<Json> {
    const socket = await RawSocket.open(stage, served.hub, options);
    socket.send(frame);
    const { data } = await socket.hears("44/agents,");
    await socket.ends(1_500);
    return data;
  }

  test("[K2] [H4] [K11] no, an empty, a malformed and an unknown key: the same refusal, then the end within 1 s", async () => {
    const unknown = "0d7e3a55-3f0e-4f0a-9a52-0c0f4f2f9f11";
    const answers = await Promise.all(
      [
        {},
        { key: "" },
        { key: "x" },
        { key: unknown },
        { key: served.hub.key.slice(0, -1) },
        { key: ` ${served.hub.key}` },
      ].map((auth) => refusal(connect(auth))),
    );
    const message = "Invalid API Key; send X-Api-Key or Authorization: Bearer";
    for (const answer of answers) expect(answer).toEqual({ code: "UNAUTHENTICATED", message });
  });

  test("[H4] a second try with the right key on a refused connection is not accepted", async () => {
    const socket = await RawSocket.open(stage, served.hub);
    socket.send(connect({ key: "wrong" }), connect({ key: served.hub.key }));
    await socket.ends(1_500);
    expect(socket.packets.some((packet) => packet.startsWith("40/agents"))).toBe(false);
  });

  test.each(["key", "api_key", "apikey", "X-Api-Key", "token"])(
    "[K3] a key in the URL as %s is refused",
    async (name) => {
      expect(await refusal(connect({ key: served.hub.key }), { query: `&${name}=${served.hub.key}` })).toMatchObject({
        code: "VALIDATION",
        details: { reason: "KEY_IN_URL" },
      });
    },
  );

  test("[K4] two different keys are refused, the same key twice is fine", async () => {
    const other = "0d7e3a55-3f0e-4f0a-9a52-0c0f4f2f9f11";
    const ambiguous = { code: "VALIDATION", details: { reason: "AMBIGUOUS_KEY" } };
    expect(await refusal(connect({ key: served.hub.key }), { headers: { "X-Api-Key": other } })).toMatchObject(
      ambiguous,
    );
    expect(
      await refusal(connect({ key: other }), { headers: { Authorization: `Bearer ${served.hub.key}` } }),
    ).toMatchObject(ambiguous);
    const both = { "X-Api-Key": served.hub.key, Authorization: `Bearer ${other}` };
    expect(await refusal(connect({}), { headers: both })).toMatchObject(ambiguous);
    const same = { "X-Api-Key": served.hub.key, Authorization: `Bearer ${served.hub.key}` };
    const socket = await RawSocket.open(stage, served.hub, { headers: same });
    await socket.join("/agents", { key: served.hub.key });
  });

  test("[H3] the key may come in a header", async () => {
    for (const headers of [{ "X-Api-Key": served.hub.key }, { Authorization: `bearer ${served.hub.key}` }]) {
      const socket = await RawSocket.open(stage, served.hub, { headers });
      await socket.join("/viewers", {});
    }
  });

  test("[H5] a protocol that the hub does not speak is refused", async () => {
    const protocols = [0, 2, 999];
    const answers = await Promise.all(protocols.map((protocol) => refusal(connect({ key: served.hub.key, protocol }))));
    expect(answers).toMatchObject(
      protocols.map((protocol) => ({
        code: "VALIDATION",
        message: `field protocol is ${protocol}, this hub speaks 1`,
      })),
    );
  });

  test("[H9] a second CONNECT on an accepted connection ends it", async () => {
    for (const second of ["/agents", "/viewers", "/"]) {
      const socket = await served.raw("/agents");
      socket.send(
        second === "/" ? `40${JSON.stringify({ key: served.hub.key })}` : connect({ key: served.hub.key }, second),
      );
      await socket.ends();
    }
  });

  test("[H9] 1,000 CONNECTs in one write become at most one socket, and the connection ends", async () => {
    for (const namespaces of [["/agents"], ["/agents", "/viewers"]]) {
      const socket = await RawSocket.open(stage, served.hub);
      const frames = Array.from({ length: 1_000 }, (_, n) =>
        connect({ key: served.hub.key }, namespaces[n % namespaces.length]),
      );
      socket.sendAtOnce(frames);
      await socket.ends();
      expect(socket.packets.filter((packet) => packet.startsWith("40")).length).toBeLessThanOrEqual(1);
      expect(socket.packets.filter((packet) => packet.startsWith("42")).length).toBeLessThanOrEqual(1);
    }
  });

  test("[H10] a connection without a CONNECT is closed after the time to connect", async () => {
    const socket = await RawSocket.open(stage, served.hub);
    socket.send("6", "3");
    await socket.ends(2_000);
  });

  test("[H11] [H10] an unknown namespace is refused, and the connection closed", async () => {
    const namespaces = ["/nope", "/agents/", "/agents?key=x", "/admin", "/__proto__", `/${"a".repeat(10_000)}`];
    await Promise.all(
      namespaces.map(async (namespace) => {
        const socket = await RawSocket.open(stage, served.hub);
        socket.send(connect({ key: served.hub.key }, namespace));
        expect(await socket.hears(`44${namespace},`)).toEqual({ message: "Invalid namespace" });
        await socket.ends(2_000);
      }),
    );
  });

  test("[H10] [K1] the library's own namespace lets nobody stay", async () => {
    for (const auth of [{}, { key: served.hub.key }]) {
      const socket = await RawSocket.open(stage, served.hub);
      socket.send(`40${JSON.stringify(auth)}`);
      expect(await socket.hears("44")).toMatchObject({ data: { code: "VALIDATION" } });
      await socket.ends(1_500);
    }
  });

  test("[H10] after a DISCONNECT packet the connection is closed within 1 s, and what comes behind it is not applied", async () => {
    const socket = await served.raw("/agents");
    const open = `42/agents,1${JSON.stringify(["session:open", { ...OPEN, project_id: "behind" }])}`;
    socket.sendAtOnce(["41/agents,", open]);
    await socket.ends(1_000);
    expect(await served.sessionsOf("behind")).toEqual([]);
    const watcher = await served.raw("/viewers");
    watcher.send("41/viewers,");
    await watcher.ends(1_000);
  });

  test("[H10] a client that does not answer the close frame loses its connection all the same", async () => {
    const before = await tcpConnections();
    const socket = await served.raw("/agents");
    socket.goDeaf();
    socket.send("41/agents,");
    await eventually("the hub has let go of it", async () => (await tcpConnections()) <= before, 5_000);
  });

  /** Connections that the hub's server holds, this process being both ends. */
  async function tcpConnections(): Promise<number> {
    const isToHub = (handle: unknown) => (handle as { localPort?: number }).localPort === served.hub.port;
    const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] };
    return handles.call(process).filter(isToHub).length;
  }

  test("[H1] polling and Engine.IO 3 are answered with 400", async () => {
    for (const query of [
      "EIO=4&transport=polling",
      "EIO=3&transport=polling",
      "EIO=4&transport=webtransport",
      "EIO=4",
      "EIO=4&transport=polling&sid=nonsense",
      "EIO=4&transport=__proto__",
    ]) {
      expect((await fetch(`${served.hub.url}/socket.io/?${query}`)).status, query).toBe(400);
      expect((await fetch(`${served.hub.url}/socket.io/?${query}`, { method: "POST", body: "x" })).status, query).toBe(
        400,
      );
    }
    const upgrade = (query: string) =>
      rawHttp(
        served.hub,
        `GET /socket.io/?${query} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n`,
      );
    for (const query of [
      "EIO=3&transport=websocket",
      "EIO=4&transport=websocket&sid=nonsense",
      "transport=websocket",
    ]) {
      expect(await upgrade(query), query).toMatch(/^HTTP\/1.1 400 /);
    }
  });

  test("[H1] an upgrade on another path is not taken", async () => {
    const answer = await rawHttp(
      served.hub,
      "GET /sessions HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n",
    );
    expect(answer).not.toContain("101 Switching");
  });

  test("[K12] a foreign Origin is refused with 403 at the upgrade; the hub's own, a listed one and none are let in", async () => {
    const allowing = await stage.hub({ env: { CORS_ALLOW_ORIGINS: "https://app.example,https://b.example" } });
    const open = (origin?: string) =>
      RawSocket.open(stage, allowing, origin === undefined ? {} : { headers: { Origin: origin } });
    for (const origin of [
      "https://evil.example",
      "https://app.example.evil.example",
      "null",
      "nonsense",
      "http://app.example",
    ]) {
      const refused = (await open(origin).catch((error) => error)) as UpgradeRefused;
      expect(refused.status, origin).toBe(403);
    }
    for (const origin of [allowing.url, "https://app.example", "https://b.example", undefined]) {
      await (await open(origin)).join("/viewers", { key: allowing.key });
    }
  });

  test("[K11] nothing of the key can be read in the hub once the connection is accepted", async () => {
    const attach = vi.spyOn(Server.prototype, "attach");
    const own = await stage.hub();
    const [server] = attach.mock.contexts as Server[];
    attach.mockRestore();
    const headers = { "X-Api-Key": own.key, Authorization: `Bearer ${own.key}` };
    for (const namespace of ["/agents", "/viewers"] as const) {
      await (await RawSocket.open(stage, own, { headers })).join(namespace, { key: own.key });
      const [socket] = server?.of(namespace).sockets.values() ?? [];
      expect(socket?.connected).toBe(true);
      const seen = inspect(socket, { depth: 9, showHidden: true, maxArrayLength: null, maxStringLength: null });
      expect(seen).toContain("handshake");
      expect(seen.includes(own.key)).toBe(false);
    }
  });

  test("[H14] [H11] clients that vanish in the middle of an open, a publish and a join leave nothing behind", async () => {
    const open = (n: number) =>
      `42/agents,${n}${JSON.stringify(["session:open", { ...OPEN, session_id: `v${n}`, project_id: "vanish" }])}`;
    for (let n = 0; n < 18; n++) {
      const doomed = await served.raw("/agents", { agent_id: "doomed" });
      doomed.sendAtOnce([
        open(n),
        `42/agents,1000${JSON.stringify(["changes:publish", { session_id: `v${n}`, incarnation: 1, op: 1, changes: [{ kind: "task", task_id: "t", title: "t" }] }])}`,
      ]);
      const watcher = await served.raw("/viewers");
      watcher.send('42/viewers,1["project:join",{"project_id":"vanish"}]');
      if (n % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
      if (n % 3 === 2) await doomed.hears(`43/agents,${n}[`.slice(0, -1));
      doomed.vanish();
      watcher.vanish();
    }
    const next = await agent(stage, served.hub, "doomed");
    for (let n = 0; n < 18; n++) {
      const opened = await next.askOk("session:open", { ...OPEN, session_id: `v${n}`, project_id: "vanish" });
      const publish = {
        session_id: `v${n}`,
        incarnation: opened.incarnation,
        op: 1,
        changes: [{ kind: "session", status: "IDLE" }],
      };
      await next.askOk("changes:publish", publish);
    }
    expect((await served.sessionsOf("vanish")).length).toBe(18);
  });
});
