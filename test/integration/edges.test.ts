import { once } from "node:events";
import { request as httpRequest, type RequestListener } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createHttpServer } from "../../server/http/http-server.ts";
import { eventually } from "../support/eventually.ts";
import { RawSocket, type UpgradeRefused } from "../support/raw-socket.ts";
import { rawHttp, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";

const stage = new Stage();
const lasting = new Stage();
/** With the settings that a hub has by default. */
let hub: TestHub;
beforeAll(async () => {
  hub = await lasting.hub();
});
afterEach(stage.clear);
afterAll(lasting.clear);

const PAGE = "https://dashboard.example";
const NEW = { session_id: "s", machine_id: "m" };
const OPEN_HUB = { NODE_ENV: "development", API_KEYS: "" };

const POST = "POST /sessions HTTP/1.1\r\nHost: x\r\nX-Api-Key: KEY\r\nContent-Type: application/json\r\n";

const list = (header: string | null) => (header ?? "").split(",").map((one) => one.trim());
const problemOf = (answer: string) => JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));

async function upgradeStatus(
  hub: Parameters<typeof RawSocket.open>[1],
  headers: Readonly<Record<string, string>>,
): Promise<number> {
  const outcome = await RawSocket.open(stage, hub, { headers }).catch((error: unknown) => error);
  return outcome instanceof RawSocket ? 101 : (outcome as UpgradeRefused).status;
}

describe("pages of other origins", () => {
  test("[R46] [K12] a listed origin may use every method and header of the protocol, and no more", async () => {
    const own = await stage.hub({ env: { CORS_ALLOW_ORIGINS: `https://other.example,${PAGE}` } });
    const preflight = await rest(own, "OPTIONS /sessions/s", {
      key: null,
      headers: { Origin: PAGE, "Access-Control-Request-Method": "DELETE" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(list(preflight.headers.get("access-control-allow-methods"))).toEqual([
      "GET",
      "POST",
      "PUT",
      "PATCH",
      "DELETE",
    ]);
    expect(list(preflight.headers.get("access-control-allow-headers")).sort()).toEqual([
      "Authorization",
      "Content-Type",
      "If-Match",
      "If-None-Match",
      "Last-Event-ID",
      "X-Api-Key",
      "X-Request-Id",
    ]);
    const created = await rest(own, "POST /sessions", { body: NEW, headers: { Origin: PAGE } });
    expect(created.status).toBe(201);
    expect(list(created.headers.get("access-control-expose-headers")).sort()).toEqual([
      "ETag",
      "Location",
      "Retry-After",
      "X-Request-Id",
    ]);
    expect(created.headers.get("access-control-allow-credentials")).toBeNull();
    expect(list(created.headers.get("vary"))).toContain("Origin");
  });

  test("[K12] `*` names every origin, over REST and at the upgrade", async () => {
    const own = await stage.hub({ env: { CORS_ALLOW_ORIGINS: "*" } });
    const answer = await rest(own, "GET /sessions", { headers: { Origin: "https://anybody.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://anybody.example");
    expect(await upgradeStatus(own, { Origin: "https://anybody.example" })).toBe(101);
  });

  test("[K12] the hub's own origin is that of the Host it is asked under, also behind TLS", async () => {
    const own = { Host: "hub.example", Origin: "https://hub.example" };
    expect(await upgradeStatus(hub, own)).toBe(101);
    expect(await upgradeStatus(hub, { ...own, Origin: "https://hub.example.evil.example" })).toBe(403);
    expect(await upgradeStatus(hub, { ...own, Origin: "https://hub.example:8443" })).toBe(403);
  });
});

describe("a hub without keys, which a browser on this machine could use for any page", () => {
  test("[K26] a page of another origin is refused even what needs no answer", async () => {
    const own = await stage.hub({ env: { ...OPEN_HUB, CORS_ALLOW_ORIGINS: PAGE } });
    await rest(own, "POST /sessions", { body: NEW });
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1"]) {
      const foreign = { key: null, headers: { Origin: origin } };
      expect(await rest(own, "POST /sessions/s/expire", foreign), origin).toMatchObject({
        status: 403,
        body: { code: "FORBIDDEN" },
      });
      expect(await upgradeStatus(own, { Origin: origin })).toBe(403);
    }
    for (const origin of [PAGE, own.url]) {
      expect((await rest(own, "GET /sessions/s", { headers: { Origin: origin } })).body.status).toBe("ACTIVE");
      expect(await upgradeStatus(own, { Origin: origin })).toBe(101);
    }
  });

  test("[K26] a name that a page made its own by DNS is refused, those of this machine are served", async () => {
    const own = await stage.hub({ env: OPEN_HUB });
    const port = new URL(own.url).port;
    const get = (host: string) =>
      rawHttp(own, `GET /sessions HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nConnection: close\r\n\r\n`);
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost.evil.example:1"]) {
      expect(await get(host), host).toMatch(/^HTTP\/1\.1 403 /);
      expect(await upgradeStatus(own, { Host: host, Origin: `http://${host}` }), host).toBe(403);
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, "localhost"]) {
      expect(await get(host), host).toMatch(/^HTTP\/1\.1 200 /);
      expect(await upgradeStatus(own, { Host: host, Origin: `http://${host}` }), host).toBe(101);
    }
  });

  test("[K26] with keys a Host is only a name", async () => {
    const answer = await rawHttp(
      hub,
      `GET /sessions HTTP/1.1\r\nHost: any.example\r\nX-Api-Key: ${hub.key}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});

test("[R47] answers are data: never guessed at, framed, run or kept by others, whatever their status", async () => {
  for (const [request, key] of [
    ["GET /sessions", hub.key],
    ["GET /sessions", null],
    ["GET /nowhere", hub.key],
    ["GET /health", null],
  ] as const) {
    const { headers } = await rest(hub, request, { key });
    expect(headers.get("content-security-policy")).toBe("default-src 'none';frame-ancestors 'none'");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("SAMEORIGIN");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(headers.get("cache-control")).toBe("private, no-cache");
    expect(headers.has("x-powered-by") || headers.has("server") || headers.has("set-cookie")).toBe(false);
    // Whether all of its name is HTTPS is for the proxy to promise that does TLS.
    expect(headers.has("strict-transport-security")).toBe(false);
  }
});

describe("keys in a URL", () => {
  const NAMES = ["key", "Api-Key", "api_key", "APIKEY", "x-api-key", "token", "access_token", "jwt", "authorization"];

  test.each(NAMES)("[K3] %s is refused over REST, valid or not, with or without another key", async (name) => {
    for (const value of [hub.key, "x"]) {
      for (const key of [hub.key, null]) {
        expect(await rest(hub, `GET /sessions?${name}=${value}`, { key })).toMatchObject({
          status: 400,
          body: { code: "VALIDATION", details: { reason: "KEY_IN_URL" } },
        });
      }
    }
  });

  test("[K3] each of them is refused at a CONNECT, and the connection ends", async () => {
    const refused = NAMES.map(async (name) => {
      const socket = await RawSocket.open(stage, hub, { query: `&${name}=${hub.key}` });
      socket.send(`40/agents,${JSON.stringify({ key: hub.key })}`);
      expect(await socket.hears("44/agents,")).toMatchObject({ data: { details: { reason: "KEY_IN_URL" } } });
      await socket.ends(1_500);
    });
    await Promise.all(refused);
  });
});

describe("requests that do not come to an end, or are none", () => {
  test("[L8] [R45] headers of 16 KiB are read, more is 431 as a problem, and the connection closes", async () => {
    const request = (bytes: number) => {
      const head = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ";
      return `${head}${"x".repeat(bytes - head.length - 4)}\r\n\r\n`;
    };
    expect(await rawHttp(hub, request(16_000))).toMatch(/^HTTP\/1\.1 200 /);
    const answer = await rawHttp(hub, request(17_000));
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain("Content-Type: application/problem+json");
    const problem = problemOf(answer);
    expect(problem).toMatchObject({ status: 431, code: "PAYLOAD_TOO_LARGE" });
    expect(answer).toContain(`X-Request-Id: ${problem.request_id}`);
    // At the upgrade too.
    const upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX-Long: ";
    expect(await rawHttp(hub, `${upgrade}${"x".repeat(17_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test.each([
    ["noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["HTTP/9", "GET /health HTTP/9.9\r\nHost: x\r\n\r\n"],
    ["a method that is none", "G=T /health HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["two lengths", "POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["a length and chunks", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0"],
    [
      "a chunk that is none",
      `${POST}Transfer-Encoding: chunked

xyz
`,
    ],
    ["a header in two lines", "GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nX-B\r\n\r\n"],
    ["a NUL in a header", "GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\0b\r\n\r\n"],
  ])("[R45] %s is 400 as a problem, and closed", async (_what, bytes) => {
    const answer = await rawHttp(hub, bytes.replace("KEY", hub.key));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(problemOf(answer)).toMatchObject({ status: 400, code: "VALIDATION" });
    expect((await rest(hub, "GET /sessions")).body.length).toBe(0);
  });

  test("[R45] a client that offers HTTP/2 is served as it asks", async () => {
    const offer =
      "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    expect(await rawHttp(hub, `GET /health HTTP/1.1\r\nHost: x\r\n${offer}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  async function serve(listener: RequestListener, timeouts: Parameters<typeof createHttpServer>[1]): Promise<number> {
    const server = createHttpServer(listener, timeouts);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    stage.add(server, () => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  /** Writes one byte after the other, until the other side has had enough. */
  async function drip(port: number, head: string, tail: string): Promise<string> {
    const socket = stage.add(connect(port, "127.0.0.1"), (open) => open.destroy());
    let answer = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.write(head);
    const bytes = [...tail];
    while (!socket.closed && bytes.length > 0) {
      if (socket.writable) socket.write(bytes.shift() ?? "");
      await sleep(20);
    }
    await eventually("the connection is closed", () => socket.closed, 5_000);
    return answer;
  }

  test("[L8] [R45] a byte now and then does not keep a request alive: 408 as a problem, and closed", async () => {
    const read: RequestListener = (request, response) => request.resume().on("end", () => response.end("read"));
    const timeouts = { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 };
    const port = await serve(read, timeouts);
    const line = "POST / HTTP/1.1\r\nHost: x\r\n";
    const [headers, body] = await Promise.all([
      drip(port, line, `X-Slow: ${"x".repeat(200)}`),
      drip(port, `${line}Content-Length: 400\r\n\r\n`, "x".repeat(200)),
    ]);
    for (const answer of [headers, body]) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(problemOf(answer)).toMatchObject({ status: 408, code: "TIMEOUT" });
    }
  });

  test("[L8] a client that does not read its answer loses its connection", async () => {
    const endless: RequestListener = (_request, response) => {
      response.on("error", () => {});
      response.end("x".repeat(64 * 1024 * 1024));
    };
    const port = await serve(endless, { idleTimeout: 300 });
    const request = stage.add(httpRequest({ port, host: "127.0.0.1" }), (open) => open.destroy());
    request.on("error", () => {}).end();
    const [response] = (await once(request, "response")) as [NodeJS.ReadableStream & { socket: Socket }];
    response.pause();
    const closed = once(response, "close").catch(() => {});
    await sleep(1_000);
    // What the kernel holds arrives, the rest never does.
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    response.on("error", () => {});
    response.resume();
    await closed;
    expect(bytes).toBeLessThan(64 * 1024 * 1024);
  });
});
