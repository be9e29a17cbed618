import specs from "@asyncapi/specs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHttpApp } from "../../server/http/app.ts";
import { type Example, METHODS } from "../../server/http/describe/declaration.ts";
import {
  AGENT_REQUESTS,
  HUB_TO_AGENT,
  HUB_TO_VIEWER,
  type RequestMessage,
  VIEWER_REQUESTS,
} from "../../server/http/describe/messages.ts";
import { createRoutes } from "../../server/realtime/routes.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { dial, type Json, type Wire } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;
let openApi: Json;
let asyncApi: Json;

beforeAll(async () => {
  hub = await stage.hub();
  openApi = (await rest(hub, "GET /openapi.json", { key: null })).body;
  asyncApi = (await rest(hub, "GET /asyncapi.json", { key: null })).body;
});
afterAll(stage.clear);

/** As the documents have it, and closed: a field that is not described is an error too. */
function checker(document: Json, schema: Json): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const components = { schemas: closed(document.components.schemas) };
  return ajv.compile({ ...(closed(schema) as object), components });
}

function closed(node: Json): Json {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== "object" || node === null) return node;
  const inner = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const isObject = typeof node.properties === "object" && node.properties.type !== "object";
  return isObject && node.additionalProperties === undefined ? { ...inner, unevaluatedProperties: false } : inner;
}

function expectFits(document: Json, schema: Json, value: unknown, what: string): void {
  const check = checker(document, schema);
  if (!check(value)) expect.fail(`${what}: ${JSON.stringify(check.errors)}\n${JSON.stringify(value)}`);
}

describe("[R66] [R37] the documents", () => {
  test("openapi.json is OpenAPI 3.1", async () => {
    const result = await new Validator().validate(structuredClone(openApi));
    expect(result).toMatchObject({ valid: true });
    expect(openApi.openapi).toMatch(/^3\.1\./);
  });

  test("asyncapi.json is AsyncAPI 3.0", () => {
    const check = new Ajv({ strict: false, validateFormats: false }).compile(specs.schemasWithoutId["3.0.0"] as object);
    const isValid: unknown = check(asyncApi);
    expect(check.errors ?? []).toEqual([]);
    expect(isValid).toBe(true);
    expect(asyncApi.asyncapi).toBe("3.0.0");
  });

  test("every route that is mounted is described, under its path and methods, and every message", () => {
    const app = createHttpApp(anything());
    const mounted = app.router.stack.flatMap(({ route }) =>
      route === undefined ? [] : [route as unknown as { path: string; methods: Record<string, boolean> }],
    );
    const routes = mounted.flatMap(({ path, methods }) =>
      METHODS.filter((method) => methods[method]).map((method) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`),
    );
    expect(routes.length).toBeGreaterThan(20);
    expect(
      operations()
        .map(({ method, route }) => `${method} ${route}`)
        .toSorted(),
    ).toEqual(routes.toSorted());

    const { agents, viewers } = createRoutes(anything());
    for (const [taken, told] of [
      [agents, AGENT_REQUESTS],
      [viewers, VIEWER_REQUESTS],
    ] as const) {
      const schemas = Object.entries(told).map(([name, { schema }]) => [name, schema] as const);
      expect(new Map([...taken].map(([name, { schema }]) => [name, schema]))).toEqual(
        new Map<string, unknown>(schemas),
      );
    }
  });

  test("every reference leads somewhere, and every operation has a name of its own", () => {
    for (const document of [openApi, asyncApi]) {
      const text = JSON.stringify(document);
      for (const [, pointer = ""] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
        const found = pointer.split("/").reduce((node: Json, key) => node?.[key.replaceAll("~1", "/")], document);
        expect(found, pointer).toBeDefined();
      }
    }
    const names = operations().map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  test("[R67] they may be kept, and asked for again by their ETag", async () => {
    for (const page of ["/", "/docs", "/openapi.json", "/asyncapi.json"]) {
      const first = await fetch(`${hub.url}${page}`);
      const etag = first.headers.get("etag") ?? "";
      // An answer that nobody reads holds its connection up.
      await first.arrayBuffer();
      expect(first.status, page).toBe(200);
      expect(first.headers.get("cache-control")).toBe("public, no-cache");
      const again = await fetch(`${hub.url}${page}`, { headers: { "If-None-Match": etag } });
      expect(again.status, page).toBe(304);
      expect(await again.text()).toBe("");
      // A browser takes over the headers of a 304.
      expect(again.headers.get("content-security-policy")).toBe(first.headers.get("content-security-policy"));
      expect(again.headers.get("cache-control")).toBe("public, no-cache");
    }
  });

  test("[R68] [R47] the page has an anchor for each route, message, schema and error, and loads nothing", async () => {
    const response = await fetch(`${hub.url}/docs`);
    const page = await response.text();
    const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids, target).toContain(target);
    for (const { method, route } of operations()) expect(ids).toContain(`${method}-${route}`);
    for (const name of Object.keys(AGENT_REQUESTS)) expect(ids).toContain(`agents-${name.replace(":", "-")}`);
    for (const name of Object.keys(HUB_TO_VIEWER)) expect(ids).toContain(`viewers-${name.replace(":", "-")}`);
    expect(page).not.toMatch(/<script|<link|<img|https?:\/\/|style=|javascript:/);
    const policy = response.headers.get("content-security-policy");
    expect(policy).toMatch(/^default-src 'none';style-src 'sha256-[^']+';/);
    expect(await (await fetch(hub.url)).text()).toContain('href="/docs"');
  });
});

/** Stands for what a thing is made with, when it is made only to be looked at. */
function anything<T>(): T {
  const proxy: unknown = new Proxy(() => proxy, {
    get: (_target, name) => (name === Symbol.toPrimitive ? () => 0 : proxy),
  });
  return proxy as T;
}

function operations(): { method: string; route: string; operation: Json }[] {
  return Object.entries(openApi.paths as Record<string, Json>).flatMap(([route, methods]) =>
    Object.entries(methods as Record<string, Json>).map(([method, operation]) => ({ method, route, operation })),
  );
}

/** What has to be there before an example, beside what those before it made. */
const GIVEN: Readonly<Record<string, () => Promise<Partial<Example>>>> = {
  closeSession: () => madeSession("build-16"),
  expireSession: () => madeSession("build-15"),
  getPurge: async () => {
    const { body } = await rest(hub, "POST /admin/purges", { body: { session_id: await endedSession() } });
    await eventually("the purge is done", async () => {
      return (await rest(hub, `GET /admin/purges/${body.purge_id}`)).body.state === "done";
    });
    return { path: { purge_id: body.purge_id } };
  },
  resume: async () => {
    await eventually("the hub is held", async () => (await rest(hub, "GET /admin/drain")).body.state === "held");
    return {};
  },
  revokeKey: async () => ({ path: { key_id: await madeKey() } }),
  rotateKey: async () => ({ path: { key_id: await madeKey() } }),
};
/** Made before the rest, whatever the order of the document. */
const FIRST = ["createSession", "createTask"];
/** Ends the hub's service. */
const LAST = ["startDrain", "resume"];

async function madeSession(session_id: string): Promise<object> {
  await rest(hub, "POST /sessions", { body: { session_id, machine_id: "laptop-1" } });
  return {};
}

async function endedSession(): Promise<string> {
  await rest(hub, "POST /sessions", { body: { session_id: "build-14", machine_id: "laptop-1" } });
  await rest(hub, "POST /sessions/build-14/close", { body: { status: "COMPLETED" } });
  return "build-14";
}

async function madeKey(): Promise<string> {
  const body = { role: "agent", projects: ["web"], name: "build machines", expires_in_ms: 86_400_000 };
  return (await rest(hub, "POST /admin/keys", { body })).body.id;
}

test("[R69] the examples of every route: the answer is what they show, and fits the schema", async () => {
  const order = operations().toSorted((a, b) => orderOf(a.operation.operationId) - orderOf(b.operation.operationId));
  for (const { method, route, operation } of order) {
    for (const example of operation["x-examples"] as Example[]) {
      const given = (await GIVEN[operation.operationId]?.()) ?? {};
      await replay(method, route, operation, { ...example, ...given });
    }
  }
});

function orderOf(name: string): number {
  return FIRST.includes(name) ? FIRST.indexOf(name) - FIRST.length : 1 + LAST.indexOf(name);
}

async function replay(method: string, route: string, operation: Json, example: Example): Promise<void> {
  const { path: ids = {}, query = {}, headers = {}, body, status, answer } = example;
  const target = route.replace(/\{(\w+)\}/g, (_all, name) => encodeURIComponent(ids[name] ?? ""));
  const search = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, `${value}`]),
  );
  const what = `${operation.operationId} ${target}?${search}`;
  const response = await fetch(`${hub.url}${target}?${search}`, {
    method: method.toUpperCase(),
    headers: {
      "X-Api-Key": hub.key,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const isStream = response.headers.get("content-type") === "text/event-stream";
  const text = isStream ? "" : await response.text();
  if (isStream) await response.body?.cancel();
  expect(response.status, `${what}: ${text}`).toBe(status);
  const described = operation.responses[status];
  // What was has no version to compare with.
  const promised = Object.keys(described.headers).filter((name) => name !== "ETag" || query.at === undefined);
  for (const name of promised) expect(response.headers.has(name), `${what}: ${name}`).toBe(true);
  const [[type, content] = [undefined, undefined]] = Object.entries((described.content ?? {}) as Record<string, Json>);
  if (type === undefined) expect(text, what).toBe("");
  else expect(response.headers.get("content-type"), what).toContain(type);
  if (content?.schema === undefined) return;
  expectFits(openApi, content.schema, JSON.parse(text), what);
  expectFits(openApi, content.schema, answer, `the example of ${what}`);
  expect(shapeOf(JSON.parse(text)), what).toEqual(expect.objectContaining(shapeOf(answer)));
}

/** Which fields there are, not what is in them. */
function shapeOf(value: Json): Record<string, string> {
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, field]) => [key, typeof field]));
}

describe("[R70] the examples of the socket", () => {
  test.each([
    ["/agents", AGENT_REQUESTS],
    ["/viewers", VIEWER_REQUESTS],
  ] as const)("%s: each is taken, and its ack fits", async (namespace, requests) => {
    const channel = asyncApi.channels[namespace.slice(1)];
    const wire = await dial(stage, hub, namespace, { auth: { agent_id: "builder" } });
    for (const [name, request] of Object.entries(requests as Record<string, RequestMessage>)) {
      const message = await messageFor(name, request, wire);
      const ack = await wire.ask(name, message);
      expect(ack, name).toMatchObject({ ok: true });
      const { payload, examples } = channel.messages[`${name}.ack`];
      expectFits(asyncApi, payload, ack, `ack of ${name}`);
      expectFits(asyncApi, payload, examples[0].payload, `example of the ack of ${name}`);
      expectFits(asyncApi, channel.messages[name].payload, request.example, `example of ${name}`);
      const refusal = await wire.ask(name, { session_id: 1, project_id: 1 });
      expect(refusal.ok).toBe(false);
      expectFits(asyncApi, payload, refusal, `refusal of ${name}`);
    }
    const [welcome] = await wire.hears("welcome");
    expectFits(asyncApi, channel.messages.welcome.payload, welcome, "welcome");
  });

  test("what a hub sends fits", async () => {
    const viewer = await dial(stage, hub, "/viewers");
    await viewer.askOk("project:join", { project_id: "heard", heartbeats: true });
    const agent = await dial(stage, hub, "/agents", { auth: { agent_id: "builder" } });
    const session_id = "heard-1";
    await agent.askOk("session:open", { session_id, project_id: "heard", machine_id: "m" });
    agent.socket.emit("heartbeat", { sessions: [{ session_id, incarnation: 1, progress: 0.5, metrics: { cpu: 1 } }] });
    await viewer.hears("changes");
    await viewer.hears("heartbeats");
    await rest(hub, `PATCH /sessions/${session_id}`, { body: { metadata: { a: 1 } } });
    await rest(hub, `POST /sessions/${session_id}/close`, { body: { status: "COMPLETED" } });
    await agent.hears("fenced");
    await viewer.hears("changes", 3);
    for (const [wire, channel] of [
      [agent, "agents"],
      [viewer, "viewers"],
    ] as const) {
      for (const { event, message } of wire.heard) {
        expectFits(asyncApi, asyncApi.channels[channel].messages[event].payload, message, event);
      }
    }
    for (const [channel, messages] of [["agents", HUB_TO_AGENT] as const, ["viewers", HUB_TO_VIEWER] as const]) {
      for (const [name, { example }] of Object.entries(messages)) {
        expectFits(asyncApi, asyncApi.channels[channel].messages[name].payload, example, `example of ${name}`);
      }
    }
  });
});

/** Where an example names what only a live hub can give. */
async function messageFor(name: string, request: RequestMessage, wire: Wire): Promise<object> {
  if (name === "auth:refresh") return { key: hub.key };
  if (name !== "project:snapshot") return request.example;
  const many = Array.from({ length: 6 }, (_, task) => task);
  const agent = await dial(stage, hub, "/agents");
  await agent.askOk("session:open", { session_id: "paged", project_id: "paged", machine_id: "m" });
  for (const op of many) {
    const changes = Array.from({ length: 100 }, (_, index) => ({
      kind: "task",
      task_id: `t-${op}-${index}`,
      title: "T",
    }));
    await agent.askOk("changes:publish", { session_id: "paged", incarnation: 1, op: op + 1, changes });
  }
  const joined = await wire.askOk("project:join", { project_id: "paged" });
  return { project_id: "paged", cursor: joined.next_cursor };
}
