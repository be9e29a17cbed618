import { SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { followProject } from "../../client/follower.ts";
import { eventually } from "../support/eventually.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";

const stage = new Stage();
let hub: TestHub;

const JWT_SECRET = "a-secret-of-more-than-thirty-two-characters";
const LIFE_S = 5;

beforeEach(async () => {
  hub = await stage.hub({ env: { JWT_SECRET }, overrides: { bounds: { keyWatchMs: 100 } } });
});
afterEach(stage.clear);

function token(role: "agent" | "viewer", lifeS = LIFE_S): Promise<string> {
  return new SignJWT({ sub: "builder", role, projects: ["p"] })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(Math.floor(Date.now() / 1_000) + lifeS)
    .sign(new TextEncoder().encode(JWT_SECRET));
}

/** Names of the states that a client went through. */
function statesOf(client: { on(event: "state", listener: (state: { name: string }) => void): unknown }): string[] {
  const names: string[] = [];
  client.on("state", ({ name }) => names.push(name));
  return names;
}

test("[K19] agent and viewer live on tokens of a few seconds, on one connection", async () => {
  let asked = 0;
  const startedAt = performance.now();
  const agent = connectAgent({
    url: hub.url,
    key: () => {
      asked += 1;
      return token("agent");
    },
  });
  stage.add(agent, () => agent.disconnect());
  const project = followProject({ url: hub.url, projectId: "p", key: () => token("viewer") });
  stage.add(project, () => project.close());
  const states = [statesOf(agent), statesOf(project)];
  const session = agent.open({ sessionId: "s", projectId: "p", machineId: "m" });
  await session.publish({ kind: "session", metadata: { count: 1 } });
  await project.ready;

  await eventually("the first token is long over", () => performance.now() - startedAt > 1.5 * LIFE_S * 1_000, 60_000);
  await session.publish({ kind: "session", metadata: { count: 2 } });
  await eventually("the viewer sees it", () => project.sessions.get("s")?.metadata.count === 2);
  expect(asked).toBeGreaterThan(1);
  for (const names of states) expect(names).not.toContain("waiting");
});

test("[K17] without a refresh the connection ends with the token, and the next one begins with the next token", async () => {
  const states: string[] = [];
  const nextToken = () => {
    if (!states.includes("ready")) return token("viewer", 3);
    if (states.includes("waiting")) return token("viewer", 600);
    throw new Error("the issuer is away");
  };
  const project = followProject({ url: hub.url, projectId: "p", key: nextToken });
  stage.add(project, () => project.close());
  project.on("state", ({ name }) => states.push(name));
  await project.ready;
  await eventually("it went and came back", () => states.includes("waiting") && states.at(-1) === "ready");
});

test("a key that cannot be had, or that was refused once, is asked for again; twice is the hub's word", async () => {
  const answers = [
    () => Promise.reject(new Error("the issuer is away")),
    () => token("agent", -10),
    () => token("agent", 600),
  ];
  const causes: string[] = [];
  const agent = connectAgent({ url: hub.url, key: () => (answers.shift() ?? (() => "none"))() });
  stage.add(agent, () => agent.disconnect());
  agent.on("state", (state) => {
    if (state.name === "waiting") causes.push(state.cause.message);
  });
  agent.open({ sessionId: "s", projectId: "p", machineId: "m" });
  await eventually("it is ready", () => agent.state.name === "ready");
  expect(causes).toEqual([
    "no key to connect with: the issuer is away",
    "the hub refused the key; another is asked for",
  ]);

  const stranger = connectAgent({ url: hub.url, key: async () => "none" });
  stage.add(stranger, () => stranger.disconnect());
  const error = await new Promise<{ code: string }>((resolve) => stranger.once("error", resolve));
  expect(error.code).toBe("UNAUTHENTICATED");
});
