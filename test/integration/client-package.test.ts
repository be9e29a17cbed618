import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLIENT_VERSION } from "../../client/version.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "state-hub-package-"));
const consumer = join(folder, "consumer");
const database = freshDatabase();
let hub: HubProcess;

/** Installed from the tarball alone, in an empty folder outside of this repository. */
beforeAll(async () => {
  hub = await startHub({ mongodbUri: database.uri });
  await run(process.execPath, [join(root, "scripts", "build-client.mjs")]);
  const { stdout } = await npm(["pack", "--json", "--pack-destination", folder, "--workspace", "client"], root);
  const packed = JSON.parse(stdout) as { filename: string }[] | Record<string, { filename: string }>;
  const [tarball] = Object.values(packed);
  mkdirSync(consumer);
  writeFileSync(join(consumer, "package.json"), '{"name": "consumer", "private": true, "type": "module"}');
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
  await npm(["install", ...quiet, join(folder, tarball?.filename ?? "")], consumer);
  writeFileSync(join(consumer, "use.mjs"), USE);
}, 120_000);

afterAll(async () => {
  await hub.stop();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

function npm(args: readonly string[], cwd: string) {
  // Settings of the npm that runs these tests (`--workspace`, a prefix) are not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  return run("npm", args, { cwd, env });
}

const USE = `
import { connectAgent, displayState, followProject, StateHubError } from "@state-hub/client";
import { nodeNetwork } from "@state-hub/client/network";
import { RestClient } from "@state-hub/client/rest";
import { openSpool } from "@state-hub/client/spool";
const [url, key, sessionId] = process.argv.slice(2);
const viewer = followProject({ url: [url], key, projectId: "package", network: nodeNetwork() });
const agent = connectAgent({ url, key, spool: openSpool({ file: "spools/" + sessionId }) });
const session = agent.open({ sessionId, projectId: "package" });
await session.publish({ kind: "task", task_id: "t", title: "naïve ✓", status: "IN_PROGRESS" });
const refused = await session.publish({ kind: "task", task_id: "t", status: "PENDING" }).catch((error) => error);
if (!(refused instanceof StateHubError)) throw new Error("not refused");
await viewer.waitFor((one) => one.task(sessionId, "t") !== undefined, { timeoutMs: 10_000 });
await agent.close({ status: "COMPLETED" });
await viewer.waitFor((one) => one.sessions.get(sessionId)?.status === "COMPLETED", { timeoutMs: 10_000 });
viewer.close();
const rest = new RestClient({ url, key });
const listed = [];
for await (const one of rest.listSessions({ project_id: "package", limit: 1 })) listed.push(one.session_id);
if (!listed.includes(sessionId)) throw new Error("not listed over REST");
const unknown = await rest.getSession("nowhere").catch((error) => error);
if (!(unknown instanceof StateHubError) || unknown.code !== "NOT_FOUND") throw new Error("no error of the SDK");
console.log(JSON.stringify([refused.code, displayState(viewer.sessions.get(sessionId)).state]));
`;

/** Nodes of this machine: the one that the project pins, and the one that ran its installation. */
function nodes(): [string, string][] {
  const pinned = join(root, "node_modules", "node", "bin", "node");
  const outer = process.env.npm_node_execpath ?? outerNode();
  return [
    ["the pinned Node", pinned],
    ...(outer === undefined || realpathSync(outer) === realpathSync(pinned)
      ? []
      : ([["the Node that ran the installation", outer]] as [string, string][])),
  ];
}

/** The first `node` of PATH that npm has not put there. */
function outerNode(): string | undefined {
  const folders = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((one) => one !== "" && !one.includes("node_modules"));
  return folders
    .map((one) => join(one, "node"))
    .find((file) => {
      try {
        return realpathSync(file) !== "";
      } catch {
        return false;
      }
    });
}

describe("package @state-hub/client", () => {
  test.each(nodes())("works on %s", async (name, node) => {
    const sessionId = name === "the pinned Node" ? "pinned" : "outer";
    const { stdout } = await run(node, ["use.mjs", hub.url, hub.key, sessionId], { cwd: consumer, timeout: 30_000 });
    expect(JSON.parse(stdout)).toEqual(["INVALID_TRANSITION", "finished"]);
  });

  test("runs examples/node", async () => {
    for (const file of ["agent.mjs", "viewer.mjs"])
      copyFileSync(join(root, "examples", "node", file), join(consumer, file));
    const env = { ...process.env, STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key };
    const viewer = run(process.execPath, ["viewer.mjs", "example"], { cwd: consumer, env, timeout: 20_000 });
    let seen = "";
    viewer.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      seen += text;
    });
    await eventually("the viewer", () => seen.includes("following default"));
    const agent = await run(process.execPath, ["agent.mjs", "example"], { cwd: consumer, env, timeout: 20_000 });
    expect(agent.stdout).toBe("example ended with change 8\n");
    expect((await viewer).stdout).toMatch(
      /#7 task write COMPLETED\n#8 session example COMPLETED\nexample is finished\n$/,
    );
  });

  test.each([
    ["nodenext", "nodenext"],
    ["bundler", "esnext"],
  ])("has types for moduleResolution %s, checked to the last", async (moduleResolution, module) => {
    const sources = join(consumer, moduleResolution);
    mkdirSync(sources);
    writeFileSync(join(sources, "use.ts"), TYPED);
    // Neither Node's nor this project's types are at hand: what the package needs, it has to bring.
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
      target: "es2022",
      lib: ["es2022", "dom"],
      types: [],
      module,
      moduleResolution,
    };
    writeFileSync(join(sources, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const outcome = await run(process.execPath, [tsc, "-p", sources], { cwd: consumer }).catch((error) => error);
    expect(outcome.stdout).toBe("");
  });

  test("holds what it needs and nothing else, and depends on three packages", () => {
    const installed = join(consumer, "node_modules", "@state-hub", "client");
    const { dependencies, version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    expect(Object.keys(dependencies).sort()).toEqual(["proxy-from-env", "socket.io-client", "zod"]);
    expect(version).toBe(CLIENT_VERSION);
    for (const file of importedBy(join(installed, "dist", "client", "index.js"))) {
      expect(readFileSync(file, "utf8"), file).not.toMatch(/from "node:|\.ts"/);
    }
  });
});

/** A module and all that it pulls in, packages aside: what a bundler for browsers would take. */
function importedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, path] of readFileSync(file, "utf8").matchAll(/(?:from |import\()"(\.[^"]+)"/g)) {
    importedBy(join(dirname(file), path ?? ""), seen);
  }
  return seen;
}

const TYPED = `
import { connectAgent, followProject, displayState, StateHubError } from "@state-hub/client";
import type { Agent, AgentSession, ConnectionState, Edit, OutboxDepth, Published, Session, Task } from "@state-hub/client";
import { nodeNetwork } from "@state-hub/client/network";
import { openSpool } from "@state-hub/client/spool";

const network = nodeNetwork({ ca: "ca.pem", proxy: "http://proxy:3128" });
const agent: Agent = connectAgent({ url: ["https://h", "https://i"], key: "k", network, spool: openSpool({ file: "f", fsync: true }) });
const session: AgentSession = agent.open({ sessionId: "s", metadata: { a: [1, null] } });
const edits: Edit[] = [{ kind: "session", status: "WAITING", waiting_for: { kind: "input", question: "?" } }];
const published: Promise<Published> = session.publish(edits, { latest: true });
// @ts-expect-error: no such status
session.publish({ kind: "session", status: "DONE" });
// @ts-expect-error: not a final one
session.close("ACTIVE");
session.waiting("Deploy?", { kind: "permission", options: ["yes", "no"], deadline: new Date() });
const working: Promise<void> = session.working("compiling", 0.4);
session.task("Compile", { id: "compile" }).failed("no space left") satisfies Promise<Published>;
agent.on("outbox", (depth: OutboxDepth) => { depth.publishes.toFixed(); });
agent.on("undelivered", ({ sessionId, keptIn }) => { sessionId.trim(); keptIn?.trim(); });
session.on("fenced", ({ reason }) => { const why: "taken" | "ended" = reason; void why; });
agent.on("error", (error: StateHubError) => { const code: string = error.code; void code; });
agent.on("state", (state: ConnectionState) => { if (state.name === "waiting") state.cause.message.trim(); });

const project = followProject({ url: "http://h,http://i", key: "k" });
project.url satisfies string;
const sessions: ReadonlyMap<string, Session> = project.sessions;
const task: Task | undefined = project.task("s", "t");
project.on("change", ({ change }) => { if (change.kind === "task") change.id.trim(); });
for (const session of sessions.values()) displayState(session).state satisfies string;
void [published, task, working];
`;
