import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session } from "../../shared/entities.ts";
import { type CliProcess, runCli, startCli } from "../support/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, type HubProcess, startHub } from "../support/start-hub.ts";

const database = freshDatabase();
const folder = mkdtempSync(join(tmpdir(), "state-hub-cli-"));
let hub: HubProcess;
let env: Record<string, string>;

beforeAll(async () => {
  hub = await startHub({ mongodbUri: database.uri });
  env = { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key };
});

afterAll(async () => {
  await hub.stop();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function sessionOf(id: string, project = "default"): Promise<Session | undefined> {
  const response = await fetch(`${hub.url}/sessions/${id}?project_id=${project}`, {
    headers: { "x-api-key": hub.key },
  });
  return response.ok ? ((await response.json()) as Session) : undefined;
}

const run = (args: readonly string[], more: Record<string, string> = {}) =>
  runCli(["run", ...args], { env: { ...env, ...more } });
const start = (args: readonly string[]) => startCli(args, { env });
const node = process.execPath;

describe("state-hub run", () => {
  test("reports a program and ends with its exit code", async () => {
    const good = await run(["--session", "good", "--title", "A good one", "--", "sh", "-c", "echo out; echo err >&2"]);
    expect(good).toEqual({ code: 0, signal: null, stdout: "out\n", stderr: "err\n" });
    expect(await sessionOf("good")).toMatchObject({
      status: "COMPLETED",
      liveness: "ended",
      metadata: { title: "A good one", command: "sh", exit_code: 0 },
    });
    const bad = await run(["--session", "bad", "--json", "--", "sh", "-c", "exit 7"]);
    expect([bad.code, JSON.parse(bad.stderr)]).toEqual([
      7,
      { session_id: "bad", project_id: "default", exit_code: 7, delivered: true },
    ]);
    expect(await sessionOf("bad")).toMatchObject({ status: "FAILED", metadata: { exit_code: 7 } });
  });

  test("passes piped output on byte for byte, also to a slow reader", async () => {
    const file =
      "const b=Buffer.alloc(1<<20);for(let i=0;i<b.length;i++)b[i]=(i*31+(i>>8))&255;for(let n=0;n<20;n++)process.stdout.write(b)";
    const args = ["run", "--session", "bytes", "--", node, "-e", file];
    const child = spawn(node, [fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url)), ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(child, "exit");
    const expected = createHash("sha256");
    const block = Buffer.alloc(1 << 20);
    for (let index = 0; index < block.length; index++) block[index] = (index * 31 + (index >> 8)) & 255;
    for (let n = 0; n < 20; n++) expected.update(block);
    const got = createHash("sha256");
    let bytes = 0;
    // Nobody reads at first: the program must wait, not the heartbeats.
    await eventually("the session", async () => (await sessionOf("bytes"))?.status === "ACTIVE");
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      got.update(chunk);
    }
    expect(bytes).toBe(20 << 20);
    expect(got.digest("hex")).toBe(expected.digest("hex"));
    expect(await exit).toEqual([0, null]);
  });

  test("keeps the order of both outputs in one file", async () => {
    const log = join(folder, "both.log");
    const fd = openSync(log, "w");
    const script = "for i in $(seq 1 200); do echo out $i; echo err $i >&2; done";
    const child = spawn(
      node,
      [fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url)), "run", "--", "sh", "-c", script],
      {
        env: { ...process.env, ...env },
        stdio: ["ignore", fd, fd],
      },
    );
    await once(child, "exit");
    const expected = Array.from({ length: 200 }, (_, index) => `out ${index + 1}\nerr ${index + 1}\n`).join("");
    expect(readFileSync(log, "utf8")).toBe(expected);
  });

  test("a reader that goes away ends the program, as in any pipe", async () => {
    const child = start(["run", "--session", "yes", "--", "sh", "-c", "while :; do echo y || exit 5; done"]);
    await once(child.child.stdout ?? child.child, "data");
    child.child.stdout?.destroy();
    const { code } = await child.ended;
    expect([5, 128 + 13]).toContain(code);
  });

  test("shows the last line as activity", async () => {
    const held = start([
      "run",
      "--session",
      "held",
      "--",
      node,
      "-e",
      "console.log('compiling 3 of 7');setInterval(()=>{},1000)",
    ]);
    await eventually(
      "the activity",
      async () =>
        ((await sessionOf("held")) as { heartbeat?: { activity?: string } } | undefined)?.heartbeat?.activity ===
        "compiling 3 of 7",
      15_000,
    );
    held.child.kill("SIGTERM");
    expect((await held.ended).code).toBe(143);
    expect(await sessionOf("held")).toMatchObject({ status: "FAILED", metadata: { signal: "SIGTERM" } });
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("hands %s on, once", async (signal) => {
    const script = `let n=0;process.on('${signal}',()=>{n++;setTimeout(()=>{console.log('got',n);process.exit(9)},300)});console.log('up');setInterval(()=>{},1000)`;
    // setsid: without a terminal, as under a supervisor.
    const child = start(["run", "--", node, "-e", script]);
    await eventually("the program", () => child.stdout().includes("up"));
    child.child.kill(signal);
    const { code, stdout } = await child.ended;
    expect([code, stdout]).toEqual([9, "up\ngot 1\n"]);
  });

  test("a program that cannot be started has the shell's exit codes and no session", async () => {
    const missing = await run(["--session", "missing", "--", "/no/such/program"]);
    expect([missing.code, missing.stderr]).toEqual([127, "state-hub: /no/such/program: not found\n"]);
    const forbidden = await run(["--", "/etc/passwd"]);
    expect(forbidden.code).toBe(126);
    expect(await sessionOf("missing")).toBeUndefined();
  });

  test("runs the program at once while the hub is away, and catches up", { timeout: 60_000 }, async () => {
    await hub.kill("SIGTERM");
    const child = start(["run", "--session", "offline", "--", "sh", "-c", "echo done"]);
    await eventually("the program's output", () => child.stdout() === "done\n", 5_000);
    hub = await startHub({ mongodbUri: database.uri, port: hub.port, key: hub.key });
    expect((await child.ended).code).toBe(0);
    expect(await sessionOf("offline")).toMatchObject({ status: "COMPLETED" });
  });

  test("waits a bounded time for a hub that does not come, and says what was not delivered", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const { code, stdout, stderr } = await run(["--session", "lost", "--wait", "300ms", "--", "sh", "-c", "exit 3"], {
      STATE_HUB_URL: nowhere,
    });
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toBe(
      `state-hub: not reported: no hub answers at ${nowhere} (ECONNREFUSED); the hub knows nothing of session lost\n`,
    );
  });

  test("a key that the hub does not take harms the report, not the program", async () => {
    const { code, stderr } = await run(["--", "sh", "-c", "sleep 0.5; exit 4"], { STATE_HUB_KEY: "wrong" });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^state-hub: not reported: the hub at .* does not accept the API key: `state-hub login/);
  });

  test("tells the program where it runs, and a run inside becomes its child", async () => {
    const bin = fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url));
    const inner = `"${node}" "${bin}" run --session inner -- true && echo "$STATE_HUB_URL $STATE_HUB_SESSION $STATE_HUB_PROJECT"`;
    const { stdout } = await run(["--project", "nested", "--session", "outer", "--", "sh", "-c", inner]);
    expect(stdout).toBe(`${hub.url} outer nested\n`);
    expect(await sessionOf("inner", "nested")).toMatchObject({ parent_session_id: "outer", status: "COMPLETED" });
  });
});

/** `script` of util-linux gives a command a terminal of its own; other systems have another `script`, or none. */
const terminalMaker = "script";
const hasScript = process.platform === "linux" && spawnSync(terminalMaker, ["--version"]).status === 0;

describe.skipIf(!hasScript)("state-hub on a terminal", () => {
  function onTerminal(command: string): CliProcess["ended"] {
    // exec: dash would stay in between, and end with 130 at a Ctrl-C whatever the command's own exit code is.
    const child = spawn(terminalMaker, ["-qec", `exec ${command}`, "/dev/null"], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      // What a person does: Ctrl-C once the program is up.
      if (text.includes("press")) child.stdin.write("\u0003");
    });
    return new Promise((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr: "" }));
    });
  }

  test("the program keeps it, and Ctrl-C reaches it once", async () => {
    const bin = fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url));
    const script =
      "let n=0;process.on('SIGINT',()=>{n++;setTimeout(()=>{console.log('got '+n);process.exit(9)},500)});console.log('tty '+[process.stdin.isTTY,process.stdout.isTTY,process.stderr.isTTY]);console.log('press');setInterval(()=>{},1000)";
    const { code, stdout } = await onTerminal(`"${node}" "${bin}" run --session tty -- "${node}" -e "${script}"`);
    expect(stdout).toContain("tty true,true,true");
    expect(stdout).toContain("got 1");
    expect(code).toBe(9);
  });
});

describe("state-hub tail", () => {
  test("prints changes across a kill -9 of the hub, none missing and none twice", { timeout: 60_000 }, async () => {
    const tail = start(["tail", "tailed", "--json"]);
    const numbers = () =>
      tail
        .stdout()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => (JSON.parse(line) as { seq: number }).seq);
    await run(["--project", "tailed", "--", "true"]);
    // The tail may have joined before or after the first run; from the second on it sees everything.
    await eventually("the tail", async () => {
      if (numbers().length > 0) return true;
      await run(["--project", "tailed", "--", "true"]);
      return false;
    });
    const child = start([
      "run",
      "--project",
      "tailed",
      "--session",
      "across",
      "--",
      node,
      "-e",
      "setTimeout(()=>{},6000)",
    ]);
    await eventually("the session", async () => (await sessionOf("across", "tailed")) !== undefined);
    await hub.kill("SIGKILL");
    hub = await startHub({ mongodbUri: database.uri, port: hub.port, key: hub.key });
    expect((await child.ended).code).toBe(0);
    const head = (await sessionOf("across", "tailed"))?.seq ?? 0;
    await eventually("the last change", () => numbers().at(-1) === head);
    const first = numbers()[0] ?? 0;
    expect(numbers()).toEqual(Array.from({ length: head - first + 1 }, (_, index) => first + index));
    tail.child.kill("SIGINT");
    const { code, stderr } = await tail.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /trying again until it is there\n(.*\n)*state-hub: connected to .*\n(.*\n)*state-hub: continue with --since [0-9a-f]+:\d+\n$/,
    );
    const since = /--since (\S+)/.exec(stderr)?.[1] ?? "";
    await run(["--project", "tailed", "--", "true"]);
    const later = await runCli(["tail", "tailed", "--since", since, "--limit", "2", "--json"], { env });
    expect(
      later.stdout
        .split("\n")
        .slice(0, 2)
        .map((line) => JSON.parse(line).seq),
    ).toEqual([head + 1, head + 2]);
  });

  test("begins with the last changes when asked, for people too", async () => {
    await run(["--project", "last", "--session", "l1", "--", "true"]);
    const { code, stdout, stderr } = await runCli(["tail", "last", "--last", "1", "--limit", "1"], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}#2 {2}l1 {2}COMPLETED {2}.*exit_code=0 {2}by agent \S+\n$/);
    expect(stderr).toMatch(/continue with --since \S+:2\n/);
  });
});

describe("state-hub one-shots", () => {
  test("publish, get and sessions", async () => {
    const missing = await runCli(["publish", "o1", "--metadata", '{"a":1}', "--project", "one"], { env });
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("--create makes it")]);
    const created = await runCli(["publish", "o1", "-p", "one", "--create", "--metadata", '{"a":1}', "--json"], {
      env,
    });
    expect(JSON.parse(created.stdout)).toMatchObject({ session_id: "o1", liveness: "unmonitored", metadata: { a: 1 } });
    const asked = await runCli(
      ["publish", "o1", "-p", "one", "--question", "Go?", "--kind", "permission", "--answer", "yes", "no"],
      { env },
    );
    expect([asked.code, asked.stdout]).toEqual([0, "o1: WAITING, version 3\n"]);
    const shown = await runCli(["get", "o1"], { env });
    expect(shown.stdout).toMatch(/waits for +permission: Go\?\noptions +yes \| no\n/);
    const stale = await runCli(["publish", "o1", "--if-version", "1", "--status", "ACTIVE"], { env });
    expect([stale.code, stale.stderr]).toEqual([1, expect.stringContaining("is at version 3 now")]);
    const listed = await runCli(["sessions", "--project", "one", "--status", "waiting", "--json"], { env });
    expect(JSON.parse(listed.stdout)).toMatchObject({ length: 1, items: [{ session_id: "o1" }] });
    const table = await runCli(["sessions", "--project", "one"], { env });
    expect(table.stdout).toMatch(/^SESSION +PROJECT +STATE +SINCE +MACHINE +WHAT\no1 +one +needs you .* Go\?\n$/);
    expect((await runCli(["publish", "o1", "--status", "COMPLETED"], { env })).code).toBe(0);
    const over = await runCli(["publish", "o1", "--status", "ACTIVE"], { env });
    expect(over.stderr).toBe(
      "state-hub: the session is COMPLETED: it accepts no change any more; a new run is a new session\n",
    );
  });

  test("sessions beyond a page", async () => {
    for (let index = 0; index < 3; index++)
      await runCli(["publish", `p${index}`, "-p", "paged", "--create", "--status", "IDLE"], { env });
    const some = await runCli(["sessions", "-p", "paged", "-n", "2"], { env });
    expect(some.stderr).toContain("there are more");
    const all = await runCli(["sessions", "-p", "paged", "--all", "--json"], { env });
    expect(JSON.parse(all.stdout).length).toBe(3);
  });

  test("login checks hub and key, and keeps both for the user alone", async () => {
    const config = { XDG_CONFIG_HOME: join(folder, "config") };
    const wrong = await runCli(["login", hub.url, "--key", "wrong"], { env: config });
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringContaining("does not accept the API key")]);
    const good = await runCli(["login", `${hub.url}/`], { env: config, input: `${hub.key}\n` });
    expect([good.code, good.stdout]).toEqual([0, `logged in at ${hub.url}, now the default hub\n`]);
    expect(statSync(join(config.XDG_CONFIG_HOME, "state-hub", "hubs.json")).mode & 0o777).toBe(0o600);
    expect((await runCli(["sessions", "--json"], { env: config })).code).toBe(0);
  });

  test("ends say what happened and what to do, with an exit code each", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const away = await runCli(["get", "x"], { env: { STATE_HUB_URL: nowhere } });
    expect([away.code, away.stderr]).toEqual([3, expect.stringContaining("Start one with `state-hub start`")]);
    const noKey = await runCli(["get", "x"], { env: { STATE_HUB_URL: hub.url } });
    expect([noKey.code, noKey.stderr]).toEqual([4, expect.stringContaining("wants an API key and none is known")]);
    expect((await runCli(["get", "x y"], { env })).code).toBe(2);
    expect((await runCli(["get"], { env })).code).toBe(2);
    expect((await runCli(["nonsense"], { env })).code).toBe(2);
    expect((await runCli(["publish", "x", "--metadata", "nonsense"], { env })).code).toBe(2);
    const version = await runCli(["--version"]);
    expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  test.each(["start", "run", "watch", "tail", "sessions", "get", "publish", "login"])(
    "%s --help has examples and --json",
    async (name) => {
      const { code, stdout } = await runCli([name, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain("Examples:");
      expect(stdout).toContain("--json");
    },
  );

  test("works through a link, from any folder, on the Node that is there", async () => {
    const link = join(folder, "state-hub");
    symlinkSync(fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url)), link);
    const outer = process.env.npm_node_execpath ?? process.execPath;
    const child = spawn(outer, [link, "run", "--session", "linked", "--", "sh", "-c", "exit 6"], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: "ignore",
    });
    expect(await once(child, "exit")).toEqual([6, null]);
    expect(await sessionOf("linked")).toMatchObject({ status: "FAILED" });
  });
});
