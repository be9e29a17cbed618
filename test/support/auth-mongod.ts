import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mongo } from "mongoose";
import { inject } from "vitest";
import { freePort } from "../../server/embedded/port-check.ts";
import { eventually } from "./eventually.ts";
import type { Stage } from "./test-hub.ts";

const ROOT = { user: "root", pwd: "root-password" };

/** A mongod of one test that asks for user and password; a standalone one, which needs no key file for that. */
export class AuthMongod {
  readonly port: number;
  readonly #admin: mongo.MongoClient;

  private constructor(port: number, admin: mongo.MongoClient) {
    this.port = port;
    this.#admin = admin;
  }

  static async start(stage: Stage): Promise<AuthMongod> {
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-auth-"));
    stage.add(dataDir, () => rmSync(dataDir, { recursive: true, force: true }));
    const port = await freePort();
    const listen = ["--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", dataDir];
    const child = spawn(inject("mongodBinary"), [...listen, "--auth", "--nounixsocket", "--quiet"], {
      stdio: "ignore",
    });
    stage.add(child, end);
    await eventually("mongod takes its first user", () => makeRoot(port).catch(() => false), 30_000);
    const admin = await mongo.MongoClient.connect(`mongodb://${ROOT.user}:${ROOT.pwd}@127.0.0.1:${port}/admin`);
    return new AuthMongod(
      port,
      stage.add(admin, (client) => client.close()),
    );
  }

  /** Of one database; returns the URI that it logs in with. */
  async addUser(database: string, user: string): Promise<string> {
    const pwd = `password-of-${user}`;
    await this.database(database).command({ createUser: user, pwd, roles: ["readWrite"] });
    return `mongodb://${user}:${pwd}@127.0.0.1:${this.port}/${database}`;
  }

  /** Connections that are logged in as this user. */
  async connectionsOf(user: string): Promise<number> {
    const open = await this.#admin
      .db("admin")
      .aggregate([
        { $currentOp: { allUsers: true, idleConnections: true } },
        { $match: { "effectiveUsers.user": user } },
      ])
      .toArray();
    return open.length;
  }

  database(name: string): mongo.Db {
    return this.#admin.db(name);
  }
}

/** The first user may be made without one, from the same machine. */
async function makeRoot(port: number): Promise<true> {
  const client = await mongo.MongoClient.connect(`mongodb://127.0.0.1:${port}/admin`, {
    serverSelectionTimeoutMS: 500,
    directConnection: true,
  });
  try {
    await client.db("admin").command({ createUser: ROOT.user, pwd: ROOT.pwd, roles: ["root"] });
    return true;
  } finally {
    await client.close();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
