import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { type MongodProcess, spawnMongod } from "../../server/embedded/mongod-process.ts";
import { freePort } from "../../server/embedded/port-check.ts";
import { becomePrimary } from "../../server/embedded/replica-set.ts";
import type { Stage } from "./test-hub.ts";

/** A mongod that belongs to one test file, which may do to it what others must not suffer. */
export class OwnMongod {
  readonly port: number;
  readonly #dataDir: string;
  #process: MongodProcess;

  constructor(dataDir: string, port: number, running: MongodProcess) {
    this.#dataDir = dataDir;
    this.port = port;
    this.#process = running;
  }

  static async start(stage: Stage): Promise<OwnMongod> {
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-mongod-"));
    stage.add(dataDir, () => rmSync(dataDir, { recursive: true, force: true }));
    const port = await freePort();
    return stage.add(new OwnMongod(dataDir, port, await run(dataDir, port)), (mongod) => mongod.end());
  }

  uri(database: string): string {
    return `mongodb://127.0.0.1:${this.port}/${database}?replicaSet=rs0`;
  }

  /** Alive, but silent: connections stay open and nobody answers. */
  freeze(): void {
    process.kill(this.#process.pid, "SIGSTOP");
  }

  thaw(): void {
    if (!this.#process.hasEnded()) process.kill(this.#process.pid, "SIGCONT");
  }

  async kill(): Promise<void> {
    process.kill(this.#process.pid, "SIGKILL");
    await this.#process.ended;
  }

  /** On the same port and data. */
  async restart(): Promise<void> {
    this.#process = await run(this.#dataDir, this.port);
  }

  async end(): Promise<void> {
    if (this.#process.hasEnded()) return;
    this.thaw();
    await this.#process.stop(() => {});
  }
}

async function run(dataDir: string, port: number): Promise<MongodProcess> {
  mkdirSync(join(dataDir, "mongodb"), { recursive: true });
  const running = await spawnMongod({ binary: inject("mongodBinary"), dataDir, port });
  await becomePrimary(port, AbortSignal.timeout(60_000));
  return running;
}
