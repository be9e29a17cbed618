import { type ChildProcess, fork } from "node:child_process";
import { trackChild } from "./processes.ts";

/**
 * Load comes from its own processes, so that the CPU of the hub is measured alone. A worker file calls `serve` with
 * its operations; the bench forks it and calls them by name, one at a time. Arguments and results are plain JSON.
 */
type Operations = Readonly<Record<string, (args: never) => unknown>>;

interface Call {
  readonly id: number;
  readonly operation: string;
  readonly args: unknown;
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export function serve(operations: Operations): void {
  process.on("message", async (call: Call) => {
    const reply: Reply = await answer(operations, call);
    process.send?.(reply);
  });
  process.on("disconnect", () => process.exit(0));
}

async function answer(operations: Operations, { id, operation, args }: Call): Promise<Reply> {
  const run = operations[operation];
  if (!run) return { id, error: `no operation ${operation}` };
  try {
    return { id, result: await run(args as never) };
  } catch (error) {
    return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** A forked worker. `T` is the type of the operations object that the file serves. */
export class Worker<T extends Operations> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  constructor(file: URL) {
    this.#child = fork(file, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    trackChild(this.#child);
    this.#child.on("message", (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.result);
      else waiting?.reject(new Error(reply.error));
    });
    this.#child.on("exit", (code, signal) => {
      for (const waiting of this.#waiting.values()) waiting.reject(new Error(`worker ended: ${signal ?? code}`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  call<K extends keyof T & string>(operation: K, args: Parameters<T[K]>[0]): Promise<Awaited<ReturnType<T[K]>>> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, operation, args } satisfies Call, (error) => {
      if (error) waiting.reject(error);
    });
    return waiting.promise as Promise<Awaited<ReturnType<T[K]>>>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await exited;
  }
}
