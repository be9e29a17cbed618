import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { rawHttp, rest } from "../support/rest.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

const NEW = { session_id: "123", machine_id: "machine-1" };
const JSON_TYPE = { "Content-Type": "application/json" };

describe("keys", () => {
  test("[K1] [K2] [K5] without a key, with a wrong and with a malformed one: the same 401", async () => {
    const hub = await stage.hub();
    const withId = { "X-Request-Id": "r1" };
    const answers = await Promise.all([
      rest(hub, "GET /sessions", { key: null, headers: withId }),
      rest(hub, "GET /sessions", { key: "wrong", headers: withId }),
      rest(hub, "GET /sessions", { key: "", headers: withId }),
      rest(hub, "GET /sessions", { key: null, headers: { ...withId, Authorization: "Basic eDp5" } }),
      rest(hub, "GET /sessions", { key: null, headers: { ...withId, Authorization: `Bearer ${hub.key}x` } }),
      rest(hub, "POST /sessions", { key: "wrong", headers: withId, body: NEW }),
      rest(hub, "GET /nowhere", { key: null, headers: withId }),
    ]);
    for (const answer of answers) {
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(answer.body).toEqual({
        type: "urn:state-hub:error:UNAUTHENTICATED",
        title: "No valid API key",
        status: 401,
        detail: "Invalid API Key; send X-Api-Key or Authorization: Bearer",
        code: "UNAUTHENTICATED",
        request_id: "r1",
      });
    }
    expect((await rest(hub, "GET /sessions")).body.length).toBe(0);
  });

  test("[K1] [K4] either header carries the key; two that differ are AMBIGUOUS_KEY", async () => {
    const hub = await stage.hub();
    const bearer = { Authorization: `Bearer ${hub.key}` };
    expect((await rest(hub, "GET /sessions", { key: null, headers: bearer })).status).toBe(200);
    expect((await rest(hub, "GET /sessions", { headers: bearer })).status).toBe(200);
    expect(await rest(hub, "GET /sessions", { key: "other", headers: bearer })).toMatchObject({
      status: 400,
      body: { code: "VALIDATION", details: { reason: "AMBIGUOUS_KEY" } },
    });
  });

  test("[K3] [E8] [K11] a key in the URL is refused, valid or not, and never quoted", async () => {
    const hub = await stage.hub();
    for (const name of ["key", "api_key", "apikey", "x-api-key", "token", "API_KEY", "X-Api-Key"]) {
      for (const path of ["/sessions", "/sessions/123", "/health"]) {
        const refused = await rest(hub, `GET ${path}?${name}=${hub.key}`);
        expect(refused).toMatchObject({ status: 400, body: { code: "VALIDATION", details: { reason: "KEY_IN_URL" } } });
        expect(JSON.stringify(refused.body)).not.toContain(hub.key);
      }
    }
  });

  test("[K6] in development without keys any key will do, as in the README", async () => {
    const hub = await stage.hub({ env: { NODE_ENV: "development", API_KEYS: "" } });
    const created = await rest(hub, "POST /sessions", {
      key: "key",
      body: { session_id: "123", status: "ACTIVE", machine_id: "machine-1" },
    });
    expect(created.status).toBe(201);
    expect((await rest(hub, "GET /sessions", { key: "another" })).body.length).toBe(1);
  });
});

describe("requests that are not as they should be", () => {
  test("[R1] [R2] bad JSON, bodies that are no object, and no body are 400", async () => {
    const hub = await stage.hub();
    for (const raw of ['{"session_id":', "{]", "nonsense", "[]", '"text"', "5", "null", "", "{}x"]) {
      const refused = await rest(hub, "POST /sessions", { raw, headers: JSON_TYPE });
      expect(refused, raw).toMatchObject({ status: 400, body: { code: "VALIDATION", status: 400 } });
      expect(refused.headers.get("content-type")).toMatch(/^application\/problem\+json/);
      expect(refused.body.detail).not.toMatch(/nonsense|\bat\b.*\.ts|position \d/);
    }
    expect((await rest(hub, "POST /sessions")).status).toBe(400);
    const notUtf8 = new Uint8Array([...Buffer.from('{"session_id":"'), 0xff, ...Buffer.from('"}')]);
    expect((await rest(hub, "POST /sessions", { raw: notUtf8, headers: JSON_TYPE })).status).toBe(400);
  });

  test("[R1] other types, charsets and compression are 415", async () => {
    const hub = await stage.hub();
    const raw = JSON.stringify(NEW);
    for (const headers of [
      { "Content-Type": "text/plain" },
      { "Content-Type": "application/x-www-form-urlencoded" },
      { "Content-Type": "application/merge-patch+json" },
      { "Content-Type": "application/jsonx" },
      { "Content-Type": "application/json; charset=utf-16" },
      { ...JSON_TYPE, "Content-Encoding": "gzip" },
    ]) {
      const refused = await rest(hub, "POST /sessions", { raw, headers });
      expect(refused, JSON.stringify(headers)).toMatchObject({
        status: 415,
        body: { code: "VALIDATION", status: 415 },
      });
    }
    const typed = { "Content-Type": 'Application/JSON; charset="UTF-8"' };
    expect((await rest(hub, "POST /sessions", { raw, headers: typed })).status).toBe(201);
  });

  test("[L2] [L3] a body of 32,768 bytes is read, one of a byte more is 413", async () => {
    const hub = await stage.hub();
    const sized = (bytes: number) => {
      const empty = JSON.stringify({ ...NEW, ignored: "" });
      return JSON.stringify({ ...NEW, ignored: "x".repeat(bytes - empty.length) });
    };
    expect((await rest(hub, "POST /sessions", { raw: sized(32_768), headers: JSON_TYPE })).status).toBe(201);
    for (const bytes of [32_769, 500_000]) {
      expect(await rest(hub, "POST /sessions", { raw: sized(bytes), headers: JSON_TYPE })).toMatchObject({
        status: 413,
        body: { code: "PAYLOAD_TOO_LARGE" },
      });
    }
  });

  test("[L2] a body without end is answered and closed, not read for ever", async () => {
    const hub = await stage.hub();
    const head = `POST /sessions HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${hub.key}\r\nContent-Type: application/json\r\n`;
    const chunk = `8000\r\n${"x".repeat(0x8000)}\r\n`;
    const answer = await rawHttp(hub, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(36)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  test("[M6] metadata over its own limit is 413 as well", async () => {
    const hub = await stage.hub();
    const body = { ...NEW, metadata: { text: "x".repeat(17_000) } };
    expect(await rest(hub, "POST /sessions", { body })).toMatchObject({
      status: 413,
      body: { code: "PAYLOAD_TOO_LARGE", details: { limit: 16_384 } },
    });
  });

  test("[R4] unknown paths are 404, known ones with another method 405 with Allow", async () => {
    const hub = await stage.hub();
    for (const path of ["/nowhere", "/sessions/1/2", "/SESSIONS", "/admin/none", "/sessions/1/tasks/2"]) {
      expect(await rest(hub, `GET ${path}`), path).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    }
    for (const [request, allow] of [
      ["DELETE /sessions", "GET, HEAD, POST"],
      ["PUT /sessions/1", "GET, HEAD, PATCH"],
      ["PUT /sessions/1/tasks", "GET, HEAD, POST"],
      ["PUT /sessions/1/tasks/2", "GET, HEAD, PATCH"],
      ["GET /sessions/1/close", "POST"],
      ["POST /projects/p/snapshot", "GET, HEAD"],
      ["POST /health", "GET, HEAD"],
      ["POST /admin/keys/key-1", "DELETE"],
    ] as const) {
      const refused = await rest(hub, request, request.startsWith("GET") ? {} : { body: {} });
      expect(refused, request).toMatchObject({ status: 405, body: { code: "VALIDATION", status: 405 } });
      expect(refused.headers.get("allow")).toBe(allow);
    }
    expect((await rest(hub, "HEAD /sessions")).status).toBe(200);
  });

  test("[G2] [R2] ids outside the pattern are VALIDATION, in path, query and body", async () => {
    const hub = await stage.hub();
    const ids = [
      "a b",
      "a/b",
      "a#b",
      "-a",
      "x".repeat(129),
      "a\u0000b",
      "a\u202eb",
      "é",
      "e\u0301",
      "a\nb",
      "\u001b[31m",
      "$ne",
      "",
    ];
    for (const id of ids) {
      for (const field of ["session_id", "machine_id", "project_id"]) {
        expect(await rest(hub, "POST /sessions", { body: { ...NEW, [field]: id } }), id).toMatchObject({
          status: 400,
          body: { code: "VALIDATION", errors: [{ field }] },
        });
      }
      if (id === "") continue;
      const encoded = encodeURIComponent(id);
      expect((await rest(hub, `GET /sessions/${encoded}`)).status, id).toBe(400);
      expect((await rest(hub, `GET /sessions/${encoded}/changes`)).status, id).toBe(400);
      expect((await rest(hub, `GET /projects/${encoded}/snapshot`)).status, id).toBe(400);
      expect((await rest(hub, `GET /sessions?project_id=${encoded}`)).status, id).toBe(400);
    }
    expect((await rest(hub, "GET /sessions/%E0%A4%A")).status).toBe(400);
  });

  test("[G9] [G10] [G11] [G12] [M7] operators, prototypes, depth and strange values are VALIDATION", async () => {
    const hub = await stage.hub();
    const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, 1])));
    const session = (metadata: string) => `{"session_id":"s1","machine_id":"m1","metadata":${metadata}}`;
    for (const raw of [
      '{"session_id":{"$ne":null},"machine_id":"m1"}',
      '{"session_id":"s1","machine_id":["m1"]}',
      '{"session_id":1,"machine_id":"m1"}',
      session('{"__proto__":{"admin":true}}'),
      session('{"constructor":1}'),
      session('{"$set":1}'),
      session('{"a.b":1}'),
      session('{"a\\u0000b":1}'),
      session('{"_bsontype":"ObjectId"}'),
      session('{"n":1e400}'),
      session('{"s":"\\ud800"}'),
      session(deep(9)),
      session(wide),
      '{"session_id":"s1","machine_id":"m1","unknown":{"$gt":""}}',
      `{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
    ]) {
      expect(await rest(hub, "POST /sessions", { raw, headers: JSON_TYPE }), raw.slice(0, 80)).toMatchObject({
        status: 400,
        body: { code: "VALIDATION" },
      });
    }
    expect((await rest(hub, "POST /sessions", { raw: session(deep(8)), headers: JSON_TYPE })).status).toBe(201);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  test("[R5] parameters twice or in brackets are VALIDATION on every list", async () => {
    const hub = await stage.hub();
    for (const path of ["/sessions", "/tasks"]) {
      for (const search of ["?status[$ne]=ACTIVE", "?status=ACTIVE&status=IDLE", "?a=1&a=2", "?project_id[]=p"]) {
        expect(await rest(hub, `GET ${path}${search}`), search).toMatchObject({
          status: 400,
          body: { code: "VALIDATION" },
        });
      }
    }
  });

  test("[R3] a request id comes back, in the header and in a problem; a strange one does not", async () => {
    const hub = await stage.hub();
    const given = await rest(hub, "GET /sessions/none", { headers: { "X-Request-Id": "trace:1" } });
    expect(given.headers.get("x-request-id")).toBe("trace:1");
    expect(given.body.request_id).toBe("trace:1");
    const made = await rest(hub, "GET /sessions", { headers: { "X-Request-Id": "a b" } });
    expect(made.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("[L8] headers over 16 KiB are 431", async () => {
    const hub = await stage.hub();
    const answer = await rawHttp(hub, `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(17_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("[E10] [R2] whatever is sent, the hub answers below 500 and lives", { timeout: 60_000 }, async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const method = fc.constantFrom("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS");
    const path = fc.oneof(
      fc.constantFrom(
        "/sessions",
        "/sessions/123",
        "/sessions/123/changes",
        "/sessions/123/close",
        "/tasks",
        "/health",
      ),
      fc.webPath(),
    );
    const search = fc.webQueryParameters();
    const field = fc.constantFrom("session_id", "machine_id", "status", "metadata", "waiting_for", "expected_version");
    const body = fc.oneof(
      fc.dictionary(field, fc.jsonValue()).map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(method, path, search, body, async (verb, where, parameters, raw) => {
        const answer = await rest(hub, `${verb} ${where}?${parameters}`, {
          ...(verb === "GET" ? {} : { raw }),
          headers: { ...JSON_TYPE, "If-Match": verb === "PATCH" ? "*" : "" },
        });
        return answer.status < 500;
      }),
      { numRuns: 400 },
    );
    expect((await rest(hub, "GET /sessions/123")).status).toBe(200);
  });
});

describe("pages of other origins", () => {
  const ORIGIN = "https://dashboard.example";
  const preflight = (origin: string) => ({
    Origin: origin,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-api-key,content-type",
  });

  test("[K12] a preflight from a foreign origin is 204 without any Access-Control header", async () => {
    const hub = await stage.hub({ env: { CORS_ALLOW_ORIGINS: ORIGIN } });
    for (const origin of ["https://evil.example", "null", `${ORIGIN}.evil`, hub.url]) {
      const answer = await rest(hub, "OPTIONS /sessions", { key: null, headers: preflight(origin) });
      expect(answer.status).toBe(204);
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      const got = await rest(hub, "GET /sessions", { headers: { Origin: origin } });
      expect(got.status).toBe(200);
      expect([...got.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  test("[K12] a listed origin may ask, send keys and read the headers that matter", async () => {
    const hub = await stage.hub({ env: { CORS_ALLOW_ORIGINS: ORIGIN } });
    const answer = await rest(hub, "OPTIONS /sessions", { key: null, headers: preflight(ORIGIN) });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(answer.headers.get("access-control-allow-headers")).toContain("X-Api-Key");
    expect(answer.headers.get("access-control-allow-methods")).toContain("PATCH");
    expect(answer.headers.get("vary")).toContain("Origin");
    const got = await rest(hub, "GET /sessions", { headers: { Origin: ORIGIN } });
    expect(got.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(got.headers.get("access-control-expose-headers")).toContain("ETag");
    expect(got.headers.get("access-control-allow-credentials")).toBeNull();
    // A refusal is readable too, else the page sees a network error instead of its 401.
    const refused = await rest(hub, "GET /sessions", { key: null, headers: { Origin: ORIGIN } });
    expect(refused.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  });
});

describe("health", () => {
  test("[R6] [R7] words for everybody, details for operators", async () => {
    const hub = await stage.hub();
    const alive = await rest(hub, "GET /health", { key: null });
    expect(alive).toMatchObject({
      status: 200,
      body: { status: "ok", uptime_s: expect.any(Number), version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
    });
    expect(await rest(hub, "GET /health/ready", { key: null })).toMatchObject({ status: 200, body: { status: "ok" } });
    expect((await rest(hub, "GET /health/ready", { key: null })).body).toEqual({ status: "ok" });
    expect((await rest(hub, "GET /health/ready", { key: "wrong" })).body).toEqual({ status: "ok" });
    expect((await rest(hub, "GET /health/ready")).body).toEqual({
      status: "ok",
      checks: { mongodb: { status: "ok", latency_ms: expect.any(Number) } },
    });
  });
});
