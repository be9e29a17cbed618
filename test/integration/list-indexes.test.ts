import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { MongoBeats } from "../../server/mongo/beats.ts";
import { encodeSession } from "../../server/mongo/codec.ts";
import { connectMongo } from "../../server/mongo/connection.ts";
import { databaseOf } from "../../server/mongo/database.ts";
import { type Coverage, type ListPlan, planSessions } from "../../server/mongo/list-plan.ts";
import { prepareDatabase } from "../../server/mongo/prepare-database.ts";
import { MongoQueries } from "../../server/mongo/queries.ts";
import { orderedValue, orderOfSessions } from "../../server/queries/list-order.ts";
import type { SessionFilter } from "../../server/queries/ports.ts";
import { Liveness, type Session, SessionStatus } from "../../shared/entities.ts";
import { freshDatabase } from "../support/database.ts";
import { atSecond, QUIET, sampleSession } from "../support/entries.ts";

const SESSIONS = 3_000;
const PAGE = 20;
const database = freshDatabase();
let connection: Awaited<ReturnType<typeof connectMongo>>;
let queries: MongoQueries;

/** Many of some values and few of others, spread over time and projects; hundreds share one `created_at`. */
const sessions = Array.from({ length: SESSIONS }, (_, index): Session => {
  const status = SessionStatus.options[index % 8 === 0 ? (index / 8) % 7 : 4] ?? "ACTIVE";
  return sampleSession({
    session_id: `s${index}`,
    project_id: index % 3 === 0 ? "rare-1" : index % 3 === 1 ? "acme-1" : "acme-2",
    status,
    liveness: Liveness.options[index % 10 === 0 ? (index / 10) % 5 : 3] ?? "ended",
    machine_id: index % 97 === 0 ? "m-rare" : "m-common",
    environment: index % 89 === 0 ? "test" : "production",
    metadata: index % 61 === 0 ? { recovery_attempts: 1 + (index % 4) } : {},
    created_at: atSecond(Math.floor(index / 400)),
    updated_at: atSecond(1_000 + ((index * 7_919) % SESSIONS)),
    seq: index + 1,
  });
});

beforeAll(async () => {
  const settings = { uri: database.uri, maxPoolSize: 5, minPoolSize: 0, slowMs: 60_000 };
  connection = await connectMongo(settings, QUIET, { onPrimaryChange: () => {} });
  const { models } = await prepareDatabase(connection, QUIET, { isAlone: false });
  const db = databaseOf(connection);
  const hidden = { appliedSeq: 1, lastOp: 0, lastOpSeq: 0, editVersion: 1 };
  await db
    .collection("sessions")
    .insertMany(sessions.map((entity) => encodeSession({ entity, ...hidden })) as object[]);
  queries = new MongoQueries(models, new MongoBeats(db));
});

afterAll(async () => {
  await connection?.close();
  await database.drop();
});

async function explain({ parts, sort, hint }: ListPlan, limit: number) {
  const seen = { examined: 0, keys: 0, returned: 0, plans: "" };
  for (const part of parts) {
    const options = { sort, limit: limit - seen.returned, ...(hint === undefined ? {} : { hint }) };
    if (options.limit === 0) break;
    const plan = await databaseOf(connection).collection("sessions").find(part, options).explain("executionStats");
    seen.examined += plan.executionStats.totalDocsExamined;
    seen.keys += plan.executionStats.totalKeysExamined;
    seen.returned += plan.executionStats.nReturned;
    seen.plans += JSON.stringify(plan.queryPlanner.winningPlan);
  }
  return seen;
}

/** What the list should hold, by looking at every session. */
function expected(filter: SessionFilter, covers: (projectId: string) => boolean): Session[] {
  const order = orderOfSessions(filter);
  const isListed = (session: Session) =>
    covers(session.project_id) &&
    (["project_id", "status", "liveness", "machine_id", "environment"] as const).every(
      (field) => filter[field] === undefined || session[field] === filter[field],
    ) &&
    session.created_at >= (filter.created_from ?? "") &&
    session.created_at < (filter.created_to ?? "~") &&
    session.updated_at >= (filter.updated_from ?? "") &&
    Number(orderedValue("recovery_attempts", session)) >= (filter.min_recovery_attempts ?? 0);
  const keyOf = ({ project_id, session_id }: Session) => `${project_id}/${session_id}`;
  const down = <T>(a: T, b: T) => (a < b ? 1 : a > b ? -1 : 0);
  return sessions
    .filter(isListed)
    .sort((a, b) => down(orderedValue(order, a), orderedValue(order, b)) || down(keyOf(a), keyOf(b)));
}

const placeOf = (filter: SessionFilter, { project_id, session_id, ...session }: Session) => ({
  value: orderedValue(orderOfSessions(filter), { project_id, session_id, ...session }),
  key: `${project_id}/${session_id}`,
});

const SHAPES: readonly SessionFilter[] = [
  {},
  { status: "COMPLETED" },
  { status: "WAITING" },
  { liveness: "ended" },
  { liveness: "lost" },
  { machine_id: "m-rare" },
  { environment: "test" },
  { min_recovery_attempts: 2 },
  { updated_from: atSecond(2_000) },
];
const CREATED = { created_from: atSecond(1), created_to: atSecond(3) };
const CASES = SHAPES.flatMap((filter) =>
  // What runs by updated_at has nothing to do with when sessions were created.
  [filter, ...(filter.updated_from === undefined ? [{ ...filter, ...CREATED }] : [])].flatMap((shape) => [
    shape,
    { ...shape, project_id: "rare-1" },
  ]),
);

describe("[R50] each shape that operators ask for is a range of an index", () => {
  test.each(CASES)("%o", async (filter) => {
    const wanted = expected(filter, (id) => filter.project_id === undefined || id === filter.project_id);
    expect(wanted.length, "the case is no case").toBeGreaterThan(1);
    const coverage: Coverage = filter.project_id === undefined ? "all" : [filter.project_id];
    for (let start = 0; start < Math.min(wanted.length, 4 * PAGE); start += PAGE) {
      const last = wanted[start - 1];
      const after = last === undefined ? undefined : placeOf(filter, last);
      const seen = await explain(planSessions(filter, coverage, after), PAGE);
      expect(seen.returned).toBe(Math.min(PAGE, wanted.length - start));
      expect(seen.examined, seen.plans).toBeLessThanOrEqual(2 * seen.returned + 100);
      expect(seen.keys, seen.plans).toBeLessThanOrEqual(2 * seen.returned + 500);
      expect(seen.plans).not.toContain('"SORT"');
      const page = await queries.listSessions(filter, ProjectScope.all, after, PAGE);
      expect(page).toEqual(wanted.slice(start, start + PAGE));
    }
  });

  test.each([
    ["ids", ["acme-1", "rare-1"], (id: string) => id !== "acme-2"],
    ["a prefix", ["acme-*"], (id: string) => id.startsWith("acme-")],
    ["nothing that is there", ["none-*"], () => false],
    [
      "more than can be merged",
      [...Array.from({ length: 150 }, (_, i) => `p.${i}`), "acme-*"],
      (id: string) => id.startsWith("acme-"),
    ],
  ] as const)("a key for %s sees its own projects, in one order", async (_name, patterns, covers) => {
    const scope = new ProjectScope(patterns);
    for (const filter of SHAPES) {
      const wanted = expected(filter, covers);
      const named = [...new Set(sessions.map(({ project_id }) => project_id))].filter(covers);
      const coverage = patterns.length > 100 ? scope : named;
      const after = wanted[PAGE] === undefined ? undefined : placeOf(filter, wanted[PAGE]);
      const start = after === undefined ? 0 : PAGE + 1;
      expect(await queries.listSessions(filter, scope, after, PAGE)).toEqual(wanted.slice(start, start + PAGE));
      if (named.length === 0) continue;
      const seen = await explain(planSessions(filter, coverage, after), PAGE);
      expect(seen.examined, seen.plans).toBeLessThanOrEqual(2 * seen.returned + 100);
      // Of several projects, keys that share the place's value are sorted: no more than one commit or millisecond has.
      const first = await explain(planSessions(filter, coverage, undefined), PAGE);
      expect(first.plans).not.toContain('"SORT"');
    }
  });
});

test("[R8] filters beyond one index still hold together", async () => {
  const filters: SessionFilter[] = [
    { status: "COMPLETED", machine_id: "m-rare", environment: "production" },
    { status: "COMPLETED", updated_from: atSecond(2_500) },
    { liveness: "ended", min_recovery_attempts: 1, created_from: atSecond(2) },
    { updated_from: atSecond(1_500), min_recovery_attempts: 2, project_id: "acme-1" },
  ];
  for (const filter of filters) {
    const wanted = expected(filter, (id) => filter.project_id === undefined || id === filter.project_id);
    expect(wanted.length).toBeGreaterThan(3);
    expect(await queries.listSessions(filter, ProjectScope.all, undefined, 500)).toEqual(wanted.slice(0, 500));
    const after = placeOf(filter, wanted[1] as Session);
    expect(await queries.listSessions(filter, ProjectScope.all, after, 2)).toEqual(wanted.slice(2, 4));
  }
});

test("[R11] a page that is more than MongoDB answers at once is whole, and its connection serves on", async () => {
  const heavy = Array.from({ length: 420 }, (_, index) =>
    sampleSession({ session_id: `h${index}`, project_id: "heavy", metadata: { text: "x".repeat(42_000) } }),
  );
  const hidden = { appliedSeq: 1, lastOp: 0, lastOpSeq: 0, editVersion: 1 };
  const collection = databaseOf(connection).collection("sessions");
  await collection.insertMany(heavy.map((entity) => encodeSession({ entity, ...hidden })) as object[]);
  try {
    const list = (limit: number) => queries.listSessions({ project_id: "heavy" }, ProjectScope.all, undefined, limit);
    const whole = await list(420);
    expect(new Set(whole.map(({ session_id }) => session_id)).size).toBe(420);
    expect(whole).toEqual(await list(421));
    expect(await list(3)).toEqual(whole.slice(0, 3));
  } finally {
    await collection.deleteMany({ project_id: "heavy" });
  }
});
