import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf, fingerprintOf } from "../../server/domain/api-key.ts";
import { METRICS } from "../../server/observability/metrics/table.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { metricsOf, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, viewer } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;

beforeAll(async () => {
  const redis = await OwnRedis.start(stage);
  hub = await stage.hub({ env: { REDIS_URL: redis.url, MAX_PUBLISHES_PER_SECOND: "10" } });
});
afterAll(stage.clear);

/** By the series as it stands there. */
async function series(): Promise<ReadonlyMap<string, number>> {
  const lines = (await metricsOf(hub)).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

describe("[R48] GET /metrics", () => {
  test("is for operators alone", async () => {
    const answer = await fetch(`${hub.url}/metrics`, { headers: { Authorization: `Bearer ${hub.key}` } });
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await answer.text()).toMatch(/^# HELP statehub_build_info /);
    expect((await rest(hub, "GET /metrics", { key: null })).status).toBe(401);
    const reader = await makeKey(hub, { role: "viewer", projects: ["*"] });
    expect((await rest(reader, "GET /metrics")).status).toBe(403);
    expect((await rest(hub, "POST /metrics")).status).toBe(405);
  });

  test("has every metric of the table with its type and help, and no other", async () => {
    const text = await metricsOf(hub);
    const heads = [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name, help, type]) => ({
      name,
      help,
      type,
    }));
    expect(heads).toEqual(METRICS.map(({ name, help, type }) => ({ name, help, type })));
  });

  test("counts what happens", async () => {
    const before = await series();
    const rise = (after: ReadonlyMap<string, number>, name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "p" });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
    await wire.ask("nonsense", {});
    const publishes = await Promise.all(
      Array.from({ length: 60 }, () =>
        wire.ask("changes:publish", { session_id: "s", incarnation: 1, op: 1, changes: [] }),
      ),
    );
    const limited = publishes.filter(({ error }) => error.code === "RATE_LIMITED").length;
    expect(limited).toBeGreaterThan(0);
    await seen.hears("changes");
    await rest(hub, "GET /sessions", { key: randomUUID() });

    const after = await eventually("the last request is counted", async () => {
      const now = await series();
      return rise(now, 'statehub_http_requests_total{status="401"}') === 1 ? now : undefined;
    });
    const rises = {
      'statehub_connections{namespace="agents"}': 1,
      'statehub_connections{namespace="viewers"}': 1,
      'statehub_connects_total{code="ok"}': 2,
      'statehub_messages_total{namespace="agents",event="session:open",code="ok"}': 1,
      'statehub_messages_total{namespace="viewers",event="project:join",code="ok"}': 1,
      'statehub_messages_total{namespace="agents",event="changes:publish",code="RATE_LIMITED"}': limited,
      'statehub_messages_total{namespace="agents",event="changes:publish",code="VALIDATION"}': 60 - limited,
      'statehub_messages_total{namespace="any",event="unknown",code="VALIDATION"}': 1,
      'statehub_rate_limited_total{limit="publishes_per_second"}': limited,
      statehub_entries_appended_total: 1,
      statehub_changes_appended_total: 1,
      'statehub_frames_total{event="changes"}': 1,
      'statehub_ack_seconds_count{event="session:open"}': 1,
      'statehub_ack_seconds_bucket{le="+Inf",event="session:open"}': 1,
      statehub_failed_keys_total: 1,
      [`statehub_key_connections{fingerprint="${fingerprintOf(digestOf(hub.key))}"}`]: 2,
    };
    expect(Object.fromEntries(Object.keys(rises).map((name) => [name, rise(after, name)]))).toEqual(rises);
    expect(rise(after, "statehub_sent_bytes_total")).toBeGreaterThan(5_000);
    expect(rise(after, 'statehub_ack_seconds_sum{event="session:open"}')).toBeGreaterThan(0);
    expect(after.get("statehub_mongodb_up")).toBe(1);
    expect(after.get("statehub_redis_live")).toBe(1);
    expect(after.get("statehub_draining")).toBe(0);
  });

  test("has no label that clients can choose, and no more series than are bounded", async () => {
    const word = `canary-${randomUUID()}`;
    const wire = await agent(stage, hub, word);
    await wire.ask("session:open", { session_id: word, project_id: word, machine_id: word, metadata: { word } });
    for (let i = 0; i < 20; i++) {
      await wire.ask(`${word}-${i}`, { word });
      await rest(hub, `GET /${word}-${i}`);
      await rest(hub, `GET /sessions/${word}-${i}?project_id=${word}`, { headers: { "X-Request-Id": word } });
      await rest(hub, "GET /sessions", { key: `${word}-${i}` });
    }
    const text = await metricsOf(hub);
    expect(text).not.toContain("canary");
    expect(text).not.toContain(hub.key);
    const labels = new Set([...text.matchAll(/[{,]([a-z]+)="/g)].map(([, label]) => label as string));
    const known = METRICS.flatMap((metric) => Object.keys(metric.labels ?? {}));
    expect([...labels].filter((label) => label !== "le" && !known.includes(label))).toEqual([]);
    expect(text.split("\n").length).toBeLessThan(500);
  });
});
