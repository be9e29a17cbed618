import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { readConfig } from "../../server/config.ts";
import { freePort } from "../../server/embedded/port-check.ts";
import { weakerOption } from "../../server/mongo/weaker-option.ts";
import { ID_PATTERN } from "../../shared/ids.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { attemptStart } from "../support/start-attempt.ts";
import { startHub } from "../support/start-hub.ts";
import { UndisturbedHub } from "../support/undisturbed-hub.ts";
import { agent, viewer } from "../support/wire.ts";

/** Nothing below may ever disturb others. */
const served = new UndisturbedHub({ connectTimeoutMs: 400 });
const { stage } = served;
const KEY = "3f0e1c52-6f0e-4d52-9c11-0f8e6a0c2b11";

describe("frames and rooms", () => {
  test("[H11] more fragments than a message may have close the connection", async () => {
    const socket = await served.raw("/agents");
    socket.sendFragments(`42/agents,1["heartbeat",{"sessions":[],"ignored":"${"x".repeat(20_000)}"}]`);
    expect(await socket.ends()).toBe(1008);
    expect(socket.packets.some((packet) => packet.startsWith("43/agents,1"))).toBe(false);
  });

  test("[V19] the room of another connection's id is a project like any other: nothing of that connection is heard there", async () => {
    const victim = await eventually("an id that could be a project's", async () => {
      const wire = await viewer(stage, served.hub);
      return ID_PATTERN.test(wire.socket.id ?? "") && wire;
    });
    await victim.askOk("project:join", { project_id: "private" });
    const spy = await viewer(stage, served.hub);
    const joined = await spy.askOk("project:join", { project_id: victim.socket.id });
    expect(joined).toMatchObject({ mode: "snapshot", epoch: "", sessions: [] });
    const wire = await agent(stage, served.hub);
    await wire.askOk("session:open", { session_id: "s", project_id: "private", machine_id: "m" });
    await victim.hears("changes");
    // What comes after it on the same connection: had there been anything, it would have been heard by now.
    await spy.askOk("project:leave", { project_id: victim.socket.id });
    expect(spy.messages("changes")).toEqual([]);
  });

  test("[H1] what is no websocket upgrade is told why by the library's code", async () => {
    const answer = async (query: string) => {
      const response = await fetch(`${served.hub.url}/socket.io/?${query}`);
      return [response.status, ((await response.json()) as { code: number }).code];
    };
    expect(await answer("EIO=4&transport=polling")).toEqual([400, 0]);
    expect(await answer("EIO=4&transport=websocket&sid=nonsense")).toEqual([400, 1]);
  });
});

describe("starts that would promise less, or nothing", () => {
  test.each([
    "w=1",
    "w=0",
    "w=2",
    "w=eu",
    "journal=false",
    "J=false",
    "readConcernLevel=local",
    "retryWrites=true&W=1",
  ])("[D1] MONGODB_URI with %s", async (options) => {
    expect(weakerOption(`mongodb://u:p@h/db?${options}`)).toBe(options.split("&").at(-1));
  });

  test.each([
    "",
    "?",
    "?w=majority",
    "?retryWrites=true&w=majority&journal=true",
    "?readConcernLevel=majority",
    "?ww=1",
  ])("[D1] MONGODB_URI with %j is fine", (query) => {
    expect(weakerOption(`mongodb://u:p@h/db${query}`)).toBeUndefined();
  });

  test("[D1] [K11] what only looks like an option is part of the password, and not told", () => {
    expect(weakerOption("mongodb://u:p?w=s3cret@h/db?w=majority")).toBeUndefined();
    expect(weakerOption("mongodb://u:p?w=s3cret@h/db?w=1")).toBe("w=1");
  });

  test("[D1] a weaker URI ends the start with one line and no password", async () => {
    const MONGODB_URI = "mongodb://hub:s3cret@127.0.0.1:1/db?w=1";
    const { code, stderr } = await attemptStart(stage, { PORT: "0", API_KEYS: KEY, MONGODB_URI });
    expect(code).toBe(1);
    expect(stderr).toBe(
      "state-hub: MONGODB_URI asks for w=1, less than an ack promises; take it out, the hub asks for majority and journal",
    );
  });

  test("no keys, and no folder in which one could be kept", async () => {
    const settings = { PORT: "0", DATA_DIR: "/dev/null/data", MONGODB_URI: "mongodb://127.0.0.1:1/db" };
    const { code, stderr } = await attemptStart(stage, settings);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^state-hub: the data folder \/dev\/null\/data cannot be used: [^\n]+$/);
  });

  test("a UUID that is not random is one warning, without it", () => {
    const notRandom = "3f0e1c52-6f0e-1d52-9c11-0f8e6a0c2b11";
    const { warnings } = readConfig({ API_KEYS: `${KEY},${notRandom}` });
    expect(warnings).toEqual(["API_KEYS: key 2 is not a random (version 4) UUID"]);
  });

  test("a standalone MongoDB is one warning, and works", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-standalone-"));
    stage.add(dataDir, () => rmSync(dataDir, { recursive: true, force: true }));
    const port = await freePort();
    const args = ["--dbpath", dataDir, "--port", String(port), "--bind_ip", "127.0.0.1", "--nounixsocket"];
    const mongod = spawn(inject("mongodBinary"), [...args, "--wiredTigerCacheSizeGB", "0.25"], { stdio: "ignore" });
    stage.add(mongod, endOf);
    const hub = await eventually(
      "a hub on it",
      () => startHub({ mongodbUri: `mongodb://127.0.0.1:${port}/hub` }).catch(() => undefined),
      30_000,
    );
    stage.add(hub, () => hub.stop());
    const created = await rest(hub, "POST /sessions", { body: { session_id: "s", machine_id: "m" } });
    expect(created.status).toBe(201);
    expect(hub.output().match(/mongodb is a standalone server/g)).toHaveLength(1);
  });

  async function endOf(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "close");
  }
});
