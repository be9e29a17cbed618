import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mongo } from "mongoose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { Database } from "../support/log-check.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";

const fresh = freshDatabase();
const folder = mkdtempSync(join(tmpdir(), "state-hub-offline-"));
let database: Database;
let hub: HubProcess;

beforeAll(async () => {
  hub = await startHub({ mongodbUri: fresh.uri });
  database = new Database(await mongo.MongoClient.connect(fresh.uri));
});

afterAll(async () => {
  await hub.stop();
  await database.close();
  await fresh.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function startAgain(): Promise<void> {
  hub = await startHub({ mongodbUri: fresh.uri, port: hub.port, key: hub.key });
}

/** The numbers in a session's metadata, as they stand in the log, in order. */
async function numbersIn(projectId: string, sessionId: string): Promise<number[]> {
  const changes = (await database.entries(projectId)).flatMap((entry) => entry.changes as unknown as LoggedChange[]);
  return changes
    .filter((change) => change.kind === "session" && change.id === sessionId)
    .flatMap((change) => change.patch?.metadata?.number ?? []);
}

interface LoggedChange {
  readonly kind: string;
  readonly id: string;
  readonly patch?: { readonly metadata?: { readonly number?: number } };
}

describe("agent whose hub comes and goes", () => {
  test("[D9] 50 sessions: all back after kill -9 of the hub, what was published meanwhile exactly once, in order", {
    timeout: 60_000,
  }, async () => {
    const agent = connectAgent({ url: hub.url, key: hub.key });
    const sessions = Array.from({ length: 50 }, (_, n) => agent.open({ sessionId: `s${n}`, projectId: "fifty" }));
    const count = 20;
    for (let number = 1; number <= count; number++) {
      for (const session of sessions) session.publish({ kind: "session", metadata: { number } }, { alone: true });
      if (number === 5) await Promise.all(sessions.map((session) => session.ready));
      if (number === 8) await hub.kill("SIGKILL");
      if (number === 15) await startAgain();
    }
    await agent.flush();
    expect(sessions.map(({ state }) => state.name)).toEqual(Array(50).fill("open"));
    expect(sessions.map(({ current }) => current?.incarnation)).toEqual(Array(50).fill(1));
    await agent.close({ status: "COMPLETED" });
    const all = Array.from({ length: count }, (_, index) => index + 1);
    for (const { sessionId } of sessions) expect(await numbersIn("fifty", sessionId), sessionId).toEqual(all);
  });

  test("close says what a hub that is away has not got", async () => {
    await hub.kill("SIGKILL");
    const agent = connectAgent({ url: hub.url, key: hub.key });
    const session = agent.open({ sessionId: "s1", projectId: "away" });
    const answer = session.publish({ kind: "session", metadata: { number: 1 } });
    const closed = agent.close({ timeoutMs: 300 });
    await expect(closed).rejects.toMatchObject({ code: "TIMEOUT", details: { undelivered: 1, kept: false } });
    await expect(answer).rejects.toMatchObject({ code: "TIMEOUT" });
    await startAgain();
  });
});

describe("agent that is killed", () => {
  const projectId = "killed";
  const spool = join(folder, "agent.spool");
  const printed: number[] = [];
  const complaints: string[] = [];
  let timesReady = 0;

  /** The next process of the agent, which goes on where the last one was heard of. */
  function startAgent(): ChildProcess {
    const file = fileURLToPath(new URL("../support/spool-agent.ts", import.meta.url));
    // What was taken and not printed before the kill has a number of its own.
    const args = [file, hub.url, hub.key, spool, projectId, String((printed.at(-1) ?? 0) + 10)];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (/^\d+$/.test(line)) printed.push(Number(line));
        else if (line === "ready") timesReady += 1;
        else complaints.push(line);
      }
    });
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }

  test("[D9] and started again with its spool: everything that publish() took is in the log once, in order", {
    timeout: 120_000,
  }, async () => {
    const kills = 6;
    for (let round = 0; round < kills; round++) {
      const isHubAway = round % 2 === 1;
      const agent = startAgent();
      const enough = printed.length + 60;
      // Killed before it has the first answer, it could only come back as a new owner.
      await eventually("publishes", () => printed.length > enough && timesReady > 0, 20_000);
      if (isHubAway) {
        await hub.kill("SIGKILL");
        const more = printed.length + 60;
        await eventually("publishes without a hub", () => printed.length > more, 20_000);
      }
      await kill(agent);
      if (isHubAway) await startAgain();
    }
    const last = startAgent();
    const enough = printed.length + 30;
    await eventually("publishes", () => printed.length > enough, 20_000);
    const exit = once(last, "close");
    last.stdin?.write("finish\n");
    expect(await exit).toEqual([0, null]);

    expect(complaints).toEqual([]);
    let unprinted = 0;
    for (const [index, sessionId] of ["s1", "s2", "s3"].entries()) {
      const logged = await numbersIn(projectId, sessionId);
      expect(logged, `${sessionId}: in order and none twice`).toEqual([...new Set(logged)].sort((a, b) => a - b));
      const taken = printed.filter((number) => number % 3 === index);
      const isPrinted = new Set(taken);
      expect(logged.filter((number) => isPrinted.has(number))).toEqual(taken);
      unprinted += logged.length - taken.length;
      expect(await database.session(projectId, sessionId)).toMatchObject({ incarnation: 1, status: "COMPLETED" });
    }
    // Taken in the moment between the publish and the print.
    expect(unprinted).toBeLessThanOrEqual(kills);
  });
});
