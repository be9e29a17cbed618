import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";
import type { Stage } from "./test-hub.ts";
import type { Json } from "./wire.ts";

const SCRIPT = fileURLToPath(new URL("agents-process.ts", import.meta.url));

/** Agents in a process of their own: see agents-process.ts. */
export class Agents {
  readonly heard: Json[] = [];
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error("the agents have no output");
    createInterface({ input: child.stdout }).on("line", (line) => this.heard.push(JSON.parse(line)));
  }

  /** Settles when all their sessions are open. */
  static async start(
    stage: Stage,
    hub: { readonly url: string; readonly key: string },
    { session = "s", count = 1, withinMs = 20_000 } = {},
  ): Promise<Agents> {
    const args = [SCRIPT, hub.url, hub.key, session, String(count)];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const agents = stage.add(new Agents(child), (open) => open.kill());
    await agents.hears("open", 1, withinMs);
    return agents;
  }

  async hears(event: string, count = 1, withinMs = 10_000): Promise<Json[]> {
    const found = () => this.heard.filter((line) => line.event === event);
    await eventually(`${count} × ${event} from the agents`, () => found().length >= count, withinMs);
    return found();
  }

  tell(command: "publish" | "drop"): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  /** Alive but silent, their connections open. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }
}
