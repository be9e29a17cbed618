import { afterAll, beforeAll, expect, test } from "vitest";
import { RestClient } from "../../client/rest.ts";
import { rest } from "../support/rest.ts";
import { freePort } from "../support/start-hub.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";

const stage = new Stage();
let hub: TestHub;
let client: RestClient;

beforeAll(async () => {
  hub = await stage.hub();
  client = new RestClient({ url: hub.url, key: async () => hub.key });
});
afterAll(stage.clear);

/** Documents and streams are not for programs that want an object. */
const WITHOUT_METHOD = ["getHome", "getDocs", "getOpenApi", "getAsyncApi", "followProject"];

test("[R71] the client has a method for every route", async () => {
  const { body } = await rest(hub, "GET /openapi.json");
  const names = Object.values(body.paths as Record<string, Record<string, { operationId: string }>>).flatMap(
    (methods) => Object.values(methods).map(({ operationId }) => operationId),
  );
  const methods = Object.getOwnPropertyNames(RestClient.prototype).filter((name) => name !== "constructor");
  expect(methods.toSorted()).toEqual(names.filter((name) => !WITHOUT_METHOD.includes(name)).toSorted());
});

test("[R71] sessions and tasks, page by page, with conditions", async () => {
  for (const id of ["a", "b", "c"]) await client.createSession({ session_id: id, machine_id: "m", project_id: "p" });
  const ids: string[] = [];
  for await (const session of client.listSessions({ project_id: "p", limit: 2 })) ids.push(session.session_id);
  expect(ids.toSorted()).toEqual(["a", "b", "c"]);
  const pages = await all(client.listSessions({ project_id: "p", limit: 2 }).pages());
  expect(pages.map(({ length }) => length)).toEqual([2, 1]);

  const waiting = await client.updateSession("a", { status: "WAITING" }, { project_id: "p", ifMatch: 1 });
  expect(waiting).toMatchObject({ status: "WAITING", version: 2, display: { state: "needs you" } });
  const conflict = client.updateSession("a", { status: "ACTIVE" }, { ifMatch: 1 });
  await expect(conflict).rejects.toMatchObject({ name: "StateHubError", code: "VERSION_CONFLICT", retryable: false });

  await client.createTask("a", { task_id: "t", title: "T" });
  await client.updateTask("a", "t", { status: "IN_PROGRESS" });
  expect(await client.getTask("a", "t")).toMatchObject({ status: "IN_PROGRESS", version: 2 });
  expect(await all(client.listTasks({ status: "IN_PROGRESS" }))).toHaveLength(1);
  expect(await all(client.listSessionTasks("a"))).toHaveLength(1);
  const kinds = (await all(client.listSessionChanges("a", { limit: 1 }))).map(({ kind }) => kind);
  expect(kinds).toEqual(["task", "task", "session", "session"]);

  expect(await client.getSession("a", { at: 1 })).toMatchObject({ status: "ACTIVE", version: 1 });
  expect(await client.closeSession("b", { status: "COMPLETED" })).toMatchObject({ liveness: "ended" });
  expect(await client.expireSession("c")).toMatchObject({ status: "FAILED" });
});

test("[R71] the state of a project, and its changes from a position on", async () => {
  const state = await client.getSnapshot("p");
  expect((await all(client.listProjects())).map(({ project_id }) => project_id)).toEqual(["p"]);
  expect(await client.getProject("p")).toMatchObject({ seq: state.seq, counts: { sessions: 3 } });
  const pages = await all(client.listProjectChanges("p", { limit: 3 }).pages());
  expect(pages.flatMap(({ items }) => items.map(({ seq }) => seq))).toEqual(
    Array.from({ length: state.seq }, (_, index) => index + 1),
  );
  const since = pages.at(-1)?.next ?? "";
  expect(since).toBe(`${state.epoch}:${state.seq}`);
  expect(await all(client.listProjectChanges("p", { since }))).toEqual([]);
  expect((await client.getSnapshot("p", { at: 3 })).sessions).toHaveLength(3);
});

test("[R71] keys and the hub", async () => {
  const made = await client.createKey({ role: "viewer", projects: ["p"] });
  const viewer = new RestClient({ url: `${hub.url}/`, key: made.key });
  await expect(viewer.createSession({ session_id: "x", machine_id: "m" })).rejects.toMatchObject({ code: "FORBIDDEN" });
  const next = await client.rotateKey(made.id, { overlap_ms: 60_000 });
  expect((await client.listKeys()).map(({ id }) => id)).toEqual(expect.arrayContaining([made.id, next.id]));
  expect(await client.revokeKey(made.id)).toHaveProperty("revoked_at");
  await expect(viewer.listSessions().pages().next()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  expect(await client.getHealth()).toMatchObject({ status: "ok" });
  expect(await client.getReady()).toMatchObject({ status: "ok", checks: { mongodb: { status: "ok" } } });
  expect(await client.getDrain()).toMatchObject({ state: "serving" });
});

test("[R71] [E11] errors are those of the SDK, with the request's id", async () => {
  const refused = await client.createSession({ session_id: "no id", machine_id: "m" }).catch((error) => error);
  expect(refused).toMatchObject({ code: "VALIDATION", details: { errors: [{ field: "session_id" }] } });
  expect(refused.requestId).toMatch(/^[0-9a-f-]{36}$/);

  const answer = (status: number, body: string, headers: Record<string, string> = {}) =>
    new RestClient({ url: hub.url, key: "k", fetch: async () => new Response(body, { status, headers }) }).getDrain();
  const later = answer(503, JSON.stringify({ code: "NEWER", detail: "later", request_id: "r" }), {
    "Retry-After": "2",
  });
  await expect(later).rejects.toMatchObject({ code: "NEWER", retryable: true, retryAfterMs: 2_000, requestId: "r" });
  await expect(answer(502, "<html>")).rejects.toMatchObject({ code: "UNREACHABLE", retryable: true });
  await expect(answer(200, "<html>")).rejects.toMatchObject({ code: "UNREACHABLE" });
  const nobody = new RestClient({ url: `http://127.0.0.1:${await freePort()}`, key: "k" }).getHealth();
  await expect(nobody).rejects.toMatchObject({ code: "UNREACHABLE", message: expect.stringContaining("ECONNREFUSED") });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const array: T[] = [];
  for await (const item of items) array.push(item);
  return array;
}
