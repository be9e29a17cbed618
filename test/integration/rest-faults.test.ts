import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { HttpCounts } from "../../server/counts/http.ts";
import { Origins } from "../../server/domain/origins.ts";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { createHttpApp } from "../../server/http/app.ts";
import type { HttpDeps } from "../../server/http/deps.ts";
import { createHttpServer } from "../../server/http/http-server.ts";
import { configuredKeys } from "../../server/keys/configured-keys.ts";
import { KeyRing } from "../../server/keys/key-ring.ts";
import type { RateLimits } from "../../server/limits/rate-limits.ts";
import { LOCAL_FAN_OUT } from "../../server/local-fan-out.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { rawHttp, rest } from "../support/rest.ts";
import { Stage } from "../support/test-hub.ts";
import { agent } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const KEY = "0b7e3d52-6f0e-4d52-9c11-0f8e6a0c2b11";
const NEW = { session_id: "s1", machine_id: "m1" };

const HEALTH: HttpDeps["health"] = {
  version: "0.0.0",
  uptimeS: () => 1,
  ping: async () => 1,
  fanOut: LOCAL_FAN_OUT,
};

/** A hub's drain, as the edge sees it in one state. */
function drainIn(state: HttpDeps["drain"]["state"]): HttpDeps["drain"] {
  const progress = { hub_id: "h", state, hold: false, under_way: 0, connections: 0, connections_before: 0 };
  return { state, isDraining: state !== "serving", progress, request: () => {}, resume: async () => true };
}

interface Edge {
  readonly url: string;
  readonly key: string;
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[];
}

function ringOf(key: string): KeyRing {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const ring = new KeyRing({ clock: { now: Date.now, monotonic: () => performance.now() }, log, isOpen: false });
  ring.setKeys("API_KEYS", configuredKeys([key]));
  return ring;
}

/** The HTTP edge alone, on parts that a test replaces. */
async function edge(parts: Partial<HttpDeps>, timeouts?: Parameters<typeof createHttpServer>[1]): Promise<Edge> {
  const lines: Edge["lines"] = [];
  const line = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  const never = () => new Promise<never>(() => {});
  const app = createHttpApp({
    keys: ringOf(KEY),
    keyAdmin: {} as HttpDeps["keyAdmin"],
    admin: {} as HttpDeps["admin"],
    counts: new HttpCounts(),
    metrics: { contentType: "text/plain", text: async () => "" },
    rates: { address: () => undefined, request: () => undefined, failedKeys: {} as RateLimits["failedKeys"] },
    writer: { submit: never },
    projects: {} as HttpDeps["projects"],
    snapshots: {} as HttpDeps["snapshots"],
    history: {} as HttpDeps["history"],
    heartbeats: { lastOf: () => undefined, stillKeys: () => [] },
    purges: { begin: never, find: never },
    projectCounts: { of: never },
    bounds: BOUNDS,
    stalledAfterMs: 0,
    queries: {
      findSession: never,
      findTask: never,
      findSessionsByKey: never,
      findStill: never,
      findProject: never,
      listProjects: never,
      findSessionsById: never,
      listSessions: never,
      listTasks: never,
      readHistory: never,
      readHeartbeats: never,
    },
    followProject: never,
    databaseTrouble: () => undefined,
    health: HEALTH,
    drain: drainIn("serving"),
    limits: DEFAULT_LIMITS,
    clock: { now: Date.now, monotonic: () => performance.now() },
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    requestTimeoutMs: 5_000,
    origins: new Origins([], false),
    isOpen: false,
    trustProxy: false,
    ...parts,
  });
  const server = timeouts === undefined ? createServer(app) : createHttpServer(app, timeouts);
  stage.add(server, closeServer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: KEY, lines };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

const failing = (error: Error): HttpDeps["queries"] =>
  new Proxy({} as HttpDeps["queries"], { get: () => () => Promise.reject(error) });

describe("the edge when something behind it fails", () => {
  test("[R16] [E1] no answer within REQUEST_TIMEOUT_MS is 504 TIMEOUT", async () => {
    const hub = await edge({ requestTimeoutMs: 100 });
    for (const [request, body] of [["GET /sessions"], ["POST /sessions", NEW]] as const) {
      const answer = await rest(hub, request, body === undefined ? {} : { body });
      expect(answer).toMatchObject({ status: 504, body: { code: "TIMEOUT" } });
      expect(answer.headers.get("retry-after")).toBe("1");
    }
  });

  test("[E10] [R2] a bug is 500 INTERNAL: logged whole, told without any of it", async () => {
    const hub = await edge({ queries: failing(new Error("secret detail at /srv/app.ts:1")) });
    const answer = await rest(hub, "GET /sessions", { headers: { "X-Request-Id": "r1" } });
    expect(answer).toMatchObject({ status: 500, body: { code: "INTERNAL", request_id: "r1" } });
    expect(JSON.stringify(answer.body)).not.toMatch(/secret|\.ts/);
    expect(hub.lines.find(({ level }) => level === "error")?.fields).toMatchObject({ request_id: "r1" });
  });

  test.each([
    ["away", 503, "UNAVAILABLE"],
    ["slow", 504, "TIMEOUT"],
  ] as const)("[E10] [R40] a database that is %s is %d %s with Retry-After", async (trouble, status, code) => {
    const hub = await edge({ queries: failing(new Error("secret")), databaseTrouble: () => trouble });
    const answer = await rest(hub, "GET /sessions");
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(JSON.stringify(answer.body)).not.toContain("secret");
  });

  test("[R40] [L6] a refusal's retry_after_ms is Retry-After in whole seconds, rounded up", async () => {
    const hub = await edge({
      writer: {
        submit: async () => ({ ok: false, refusal: { code: "OVERLOADED", message: "full", retry_after_ms: 1_200 } }),
      },
    });
    const answer = await rest(hub, "POST /sessions", { body: NEW });
    expect(answer).toMatchObject({ status: 503, body: { code: "OVERLOADED" } });
    expect(answer.headers.get("retry-after")).toBe("2");
  });

  test("[R7] [D10] while draining: not ready, writes refused, connections not kept", async () => {
    const hub = await edge({ drain: drainIn("draining") });
    expect(await rest(hub, "GET /health/ready", { key: null })).toMatchObject({
      status: 503,
      body: { status: "unavailable" },
    });
    const refused = await rest(hub, "POST /sessions", { body: NEW });
    expect(refused).toMatchObject({ status: 503, body: { code: "DRAINING" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.headers.get("connection")).toBe("close");
    expect((await rest(hub, "GET /health", { key: null })).status).toBe(200);
  });

  test("[R7] without MongoDB the hub is not ready", async () => {
    const hub = await edge({ health: { ...HEALTH, ping: async () => undefined } });
    expect(await rest(hub, "GET /health/ready")).toMatchObject({
      status: 503,
      body: { status: "unavailable", checks: { mongodb: { status: "unavailable" } } },
    });
  });

  test("[K7] a viewer's key reads but does not write", async () => {
    const viewer = { role: "viewer", scope: ProjectScope.all, keyId: "0", fingerprint: "0" } as const;
    const keys = { identify: () => viewer };
    const hub = await edge({ keys });
    for (const request of ["POST /sessions", "PATCH /sessions/s1", "POST /sessions/s1/close"]) {
      expect(await rest(hub, request, { body: NEW })).toMatchObject({
        status: 403,
        body: { code: "FORBIDDEN", detail: "Not Authorized" },
      });
    }
    expect((await rest(hub, "GET /health/ready")).body).toEqual({ status: "ok" });
  });

  test("[K11] no key ever reaches the log, wherever it was put", async () => {
    const hub = await edge({ queries: failing(new Error("x")) });
    await rest(hub, `GET /sessions?api_key=${KEY}`);
    await rest(hub, `GET /sessions?status=${KEY}`);
    await rest(hub, "GET /sessions");
    await rest(hub, "GET /sessions", { key: `${KEY}-wrong` });
    await rest(hub, "GET /sessions", { key: null, headers: { Authorization: `Bearer ${KEY}` } });
    await eventually("the request log", () => hub.lines.filter(({ message }) => message === "request").length === 5);
    expect(JSON.stringify(hub.lines)).not.toContain(KEY);
  });

  test("X-Forwarded-For counts only behind a proxy that is configured", async () => {
    const ipSeen = async (trustProxy: number | false) => {
      const hub = await edge({ trustProxy });
      await rest(hub, "GET /health", { headers: { "X-Forwarded-For": "6.6.6.6, 7.7.7.7" } });
      return eventually("the request log", () => (hub.lines[0]?.fields as { ip?: string } | undefined)?.ip);
    };
    expect(await ipSeen(false)).toContain("127.0.0.1");
    expect(await ipSeen(1)).toBe("7.7.7.7");
  });

  test("[L8] headers or a body that come too slowly are 408 and closed", async () => {
    const timeouts = { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 };
    const hub = await edge({}, timeouts);
    const head = `POST /sessions HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${KEY}\r\nContent-Type: application/json\r\n`;
    const [headers, body] = await Promise.all([
      rawHttp(hub, head),
      rawHttp(hub, `${head}Content-Length: 100\r\n\r\n{"session_id":`),
    ]);
    expect(headers).toMatch(/^HTTP\/1\.1 408 /);
    expect(body).toMatch(/^HTTP\/1\.1 408 /);
    expect(hub.lines.filter(({ level }) => level === "error")).toEqual([]);
  });
});

/** A TCP proxy in front of MongoDB that can go deaf or away. */
class Link {
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server = createTcpServer((client) => this.#accept(client));
  readonly #target: URL;
  mode: "open" | "deaf" | "away" = "open";

  constructor(target: string) {
    this.#target = new URL(target);
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const { port } = this.#server.address() as AddressInfo;
    return `mongodb://127.0.0.1:${port}${this.#target.pathname}?directConnection=true`;
  }

  /** Connections that are there stall or are cut, new ones fare alike. */
  set(mode: Link["mode"]): void {
    this.mode = mode;
    for (const pair of this.#pairs) {
      for (const socket of pair) {
        if (mode === "away") socket.destroy();
        else if (mode === "deaf") socket.pause();
        else socket.resume();
      }
    }
  }

  async close(): Promise<void> {
    this.set("away");
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.mode === "away") {
      client.destroy();
      return;
    }
    const server = connect(Number(this.#target.port), this.#target.hostname);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [server, client] as const]) {
      from.on("data", (chunk) => void to.write(chunk));
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
    if (this.mode === "deaf") for (const socket of pair) socket.pause();
  }
}

describe("MongoDB away", () => {
  test.each(["away", "deaf"] as const)(
    "[D11] [B9] [R16] MongoDB %s: 503 UNAVAILABLE within 5 s, connections and heartbeats stay, work goes on by itself",
    { timeout: 90_000 },
    async (mode) => {
      const database = stage.add(freshDatabase(), (open) => open.drop());
      const link = stage.add(new Link(database.uri), (open) => open.close());
      const hub = await stage.hub({ uri: await link.open() });
      const wire = await agent(stage, hub, "a1");
      const { incarnation } = await wire.askOk("session:open", NEW);
      await rest(hub, "POST /sessions", { body: { ...NEW, session_id: "s2" } });
      link.set(mode);
      const requests = [
        "GET /sessions",
        "GET /sessions/s1",
        "GET /sessions/s1/changes",
        "GET /tasks",
        "GET /projects/default/snapshot",
        "GET /projects/other/snapshot",
        "POST /sessions",
        "PATCH /sessions/s2",
      ];
      await Promise.all(
        requests.map(async (request) => {
          const started = performance.now();
          const body = { POST: { ...NEW, session_id: "s3" }, PATCH: { status: "PAUSED" } }[request.split(" ")[0] ?? ""];
          const answer = await rest(hub, request, body === undefined ? {} : { body });
          const ms = performance.now() - started;
          expect(answer, request).toMatchObject({ status: 503, body: { code: "UNAVAILABLE" } });
          expect(answer.headers.get("retry-after"), request).toBe("1");
          expect(ms, request).toBeLessThan(5_000);
        }),
      );
      expect((await rest(hub, "GET /health", { key: null })).status).toBe(200);
      expect((await rest(hub, "GET /health/ready", { key: null })).status).toBe(503);
      const beat = { sessions: [{ session_id: "s1", incarnation, activity: "still here" }] };
      expect(await wire.askOk("heartbeat", beat)).toEqual({ ok: true });
      link.set("open");
      await eventually("the hub is ready", async () => (await rest(hub, "GET /health/ready")).status === 200, 30_000);
      const edited = await eventually(
        "a PATCH succeeds",
        async () => {
          const answer = await rest(hub, "PATCH /sessions/s1", { body: { status: "IDLE" } });
          return answer.status === 200 && answer;
        },
        30_000,
      );
      expect(edited.body).toMatchObject({ status: "IDLE", heartbeat: { activity: "still here" } });
      // Its outcome was unknown; sent again it is there, once.
      const again = await rest(hub, "POST /sessions", { body: { ...NEW, session_id: "s3" } });
      expect(again).toMatchObject({ body: { session_id: "s3", version: 1 } });
      expect((await rest(hub, "GET /sessions")).body.length).toBe(3);
    },
  );
});
