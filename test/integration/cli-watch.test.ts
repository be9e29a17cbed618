import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type CliProcess, runCli, startCli } from "../support/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { freePort, type HubProcess, startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, type Wire } from "../support/wire.ts";

const database = freshDatabase();
const stage = new Stage();
let hub: HubProcess;
let env: Record<string, string>;

beforeAll(async () => {
  hub = await startHub({ mongodbUri: database.uri });
  env = { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key };
});
afterEach(stage.clear);
afterAll(async () => {
  await hub.stop();
  await database.drop();
});

const restartHub = async () => {
  hub = await startHub({ mongodbUri: database.uri, port: hub.port, key: hub.key });
};

/** An agent's session that asks, and one that works. */
async function twoSessions(project_id: string, question = "Deploy?"): Promise<Wire> {
  const wire = await agent(stage, hub, "bot");
  for (const session_id of ["asks", "works"]) {
    await wire.askOk("session:open", { session_id, project_id, machine_id: "m1" });
  }
  await ask(wire, question);
  await wire.askOk("heartbeat", {
    sessions: [{ session_id: "works", incarnation: 1, activity: "linking", progress: 0.5 }],
  });
  return wire;
}

async function ask(wire: Wire, question: string, op = 1): Promise<void> {
  const waiting_for = { kind: "permission", question };
  const changes = [{ kind: "session", status: "WAITING", waiting_for }];
  await wire.askOk("changes:publish", { session_id: "asks", incarnation: 1, op, changes });
}

const watch = (...args: string[]) => stage.add(startCli(["watch", ...args], { env }), (cli) => cli.child.kill());
const documents = (cli: CliProcess) =>
  cli
    .stdout()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("state-hub watch into a pipe", () => {
  test("--once prints one table, with what heartbeats said before, and ends", async () => {
    await twoSessions("once");
    const { code, stdout, stderr } = await runCli(["watch", "once", "--once"], { env });
    expect([code, stderr]).toEqual([0, ""]);
    const ages = stdout.replaceAll(/ {2}\d+ s /g, "  0 s ");
    expect(ages.split("\n")).toEqual([
      `State Hub  ${hub.url}  project once  ● live`,
      "1 needs you · 1 working",
      "",
      "STATE      SINCE  SESSION  MACHINE  WHAT",
      "needs you  0 s    asks     m1       Deploy?",
      "working    0 s    works    m1       ████░░░░  50 %  linking",
      "",
    ]);
  });

  test("without a project it finds all of them, and new ones as they come", async () => {
    await twoSessions("all-1");
    const one = await runCli(["watch", "--once", "--json"], { env });
    const first = JSON.parse(one.stdout);
    expect(first.connection).toEqual({ state: "live" });
    expect(first.sessions).toContainEqual(
      expect.objectContaining({ project_id: "all-1", session_id: "asks", needs_me: true, reason: "Deploy?" }),
    );
    const cli = watch("--json", "--needs-me");
    await eventually("the first picture", () => documents(cli).length > 0);
    await twoSessions("all-2");
    await eventually("the new project", () =>
      documents(cli)
        .at(-1)
        .sessions.some((row: { project_id: string }) => row.project_id === "all-2"),
    );
    expect(documents(cli).at(-1).sessions).not.toContainEqual(expect.objectContaining({ session_id: "works" }));
  });

  test("of more projects than it follows, those with questions are in, and the first line says so", async () => {
    const crowd = freshDatabase();
    stage.add(crowd, () => crowd.drop());
    const crowded = await startHub({ mongodbUri: crowd.uri });
    stage.add(crowded, (one) => one.stop());
    const body = (index: number) => ({ session_id: "s", project_id: `p${index}`, machine_id: "m" });
    await rest(crowded, "POST /sessions", { body: { ...body(0), status: "WAITING" } });
    const others = Array.from({ length: 100 }, (_, index) => body(index + 1));
    await Promise.all(others.map((one) => rest(crowded, "POST /sessions", { body: one })));
    const address = { STATE_HUB_URL: crowded.url, STATE_HUB_KEY: crowded.key };
    const { stdout } = await runCli(["watch", "--once", "--json"], { env: address });
    const { projects, sessions } = JSON.parse(stdout);
    expect(projects).toEqual({ followed: 100, known: 101 });
    expect(sessions[0]).toMatchObject({ project_id: "p0", state: "needs you" });
    expect(sessions).toHaveLength(100);
  });

  test("prints the table anew when something changes, and says what is old while the hub is away", async () => {
    const wire = await twoSessions("pipe");
    const cli = watch("pipe");
    await eventually("the first table", () => cli.stdout().includes("Deploy?"));
    await ask(wire, "Sure?", 2);
    await eventually("the change", () => cli.stdout().includes("Sure?"));
    wire.close();
    await hub.kill("SIGKILL");
    await eventually("the loss", () => /not connected for .*\n(.*\n)*needs you\? .* Sure\?/.test(cli.stdout()));
    const before = cli.stdout().length;
    await restartHub();
    await eventually("the return", () => /● live\n(.*\n)*needs you .* Sure\?/.test(cli.stdout().slice(before)), 20_000);
    cli.child.kill("SIGINT");
    expect((await cli.ended).code).toBe(130);
  });

  test("waits for a hub that is away and says so; --once does not wait", async () => {
    const nowhere = { ...env, STATE_HUB_URL: `http://127.0.0.1:${await freePort()}` };
    const once = await runCli(["watch", "--once"], { env: nowhere });
    expect([once.code, once.stdout, once.stderr]).toEqual([3, "", expect.stringContaining("no hub answers at")]);
    const cli = stage.add(startCli(["watch"], { env: nowhere }), ({ child }) => child.kill());
    await eventually("the reason", () => cli.stderr().includes("trying again until it is there"));
    expect(cli.stdout()).toBe("");
  });

  test.each([[["watch"]], [["watch", "p"]], [["watch", "--once"]]])("a wrong key ends %j", async (args) => {
    const { code, stderr } = await runCli(args, { env: { ...env, STATE_HUB_KEY: "wrong" } });
    expect([code, stderr]).toEqual([4, expect.stringContaining("does not accept the API key")]);
  });

  test("what is no project id is wrong usage", async () => {
    expect((await runCli(["watch", "no/id"], { env })).code).toBe(2);
  });
});

/** `script` of util-linux gives a command a terminal of its own; other systems have another `script`, or none. */
const terminalMaker = "script";
const hasScript = process.platform === "linux" && spawnSync(terminalMaker, ["--version"]).status === 0;

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";

describe.skipIf(!hasScript)("state-hub watch on a terminal", () => {
  const bin = fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url));

  function onTerminal(args: string, more: Record<string, string> = {}) {
    const command = `stty cols 80 rows 24; exec "${process.execPath}" "${bin}" watch ${args}`;
    const child = spawn(terminalMaker, ["-qec", command, "/dev/null"], {
      env: { ...process.env, ...env, NO_COLOR: "1", ...more },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
    stage.add(child, () => child.kill());
    const press = (key: string) => child.stdin.write(key);
    /** The last whole frame, without the marks between frames. */
    const screen = () =>
      output
        .split("\u001b[H")
        .at(-1)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what moves the cursor is what has to go
        ?.replaceAll(/\u001b\[[?0-9]*[A-Za-z]|\r/g, "") ?? "";
    return { press, screen, ended, output: () => output };
  }

  test("takes the terminal, shows changes, an absent hub and its return, and gives it back at q", async () => {
    const wire = await twoSessions("tty");
    const terminal = onTerminal("tty --bell");
    await eventually("the table", () => /● live\n1 needs you · 1 working(.*\n)*.* Deploy\?/.test(terminal.screen()));
    expect(terminal.output()).toContain(ENTER);
    expect(terminal.output(), "what needs somebody from the start does not ring").not.toContain("\u0007");
    await ask(wire, "Sure?", 2);
    await eventually("the change", () => terminal.screen().includes("Sure?"));
    expect(terminal.output()).toContain("\u0007");
    wire.close();
    await hub.kill("SIGKILL");
    await eventually("the loss", () =>
      /○ not connected for .* as of [\d:]{8}\n(.*\n)*needs you\? /.test(terminal.screen()),
    );
    await restartHub();
    await eventually("the return", () => /● live\n(.*\n)*needs you /.test(terminal.screen()), 20_000);
    terminal.press("q");
    expect(await terminal.ended).toBe(0);
    expect(terminal.output().endsWith(LEAVE)).toBe(true);
    expect(terminal.output().split(ENTER).length).toBe(2);
  });

  test("Ctrl-C gives it back too", async () => {
    const terminal = onTerminal("none");
    await eventually("the table", () => terminal.screen().includes("no sessions"));
    terminal.press("\u0003");
    expect(await terminal.ended).toBe(130);
    expect(terminal.output().endsWith(LEAVE)).toBe(true);
  });

  test("so does a refusal, which can be read afterwards", async () => {
    const terminal = onTerminal("", { STATE_HUB_KEY: "wrong" });
    expect(await terminal.ended).toBe(4);
    expect(terminal.output()).toMatch(/1049lstate-hub: .* does not accept the API key/);
  });

  test("a terminal that can do nothing gets the table as text", async () => {
    await twoSessions("dumb");
    const terminal = onTerminal("dumb", { TERM: "dumb" });
    await eventually("the table", () => terminal.output().includes("Deploy?"));
    expect(terminal.output()).not.toContain("\u001b");
    terminal.press("\u0003");
    expect(await terminal.ended).toBe(130);
  });
});
