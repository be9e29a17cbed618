import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { eventually } from "./eventually.ts";

/** A redis-server of one's own, to do anything to. It keeps nothing on disk. */
export class RedisServer {
  readonly port: number;
  readonly #binary: string;
  #process: ChildProcess | undefined;

  constructor(binary: string, port: number) {
    this.#binary = binary;
    this.port = port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** While it runs. */
  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error("redis-server does not run");
    return this.#process.pid;
  }

  async start(...settings: string[]): Promise<void> {
    const listen = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    await this.startAs(...listen, ...settings);
  }

  /** With these words alone, which have to name its port. */
  async startAs(...words: readonly string[]): Promise<void> {
    const [file = "", ...args] = [...tied(), this.#binary, ...words];
    this.#process = spawn(file, args, { stdio: "ignore" });
    await eventually("redis answers", () => this.#answers(), 10_000);
  }

  /** Resolves with the answer as it came. */
  command(...words: readonly (string | Buffer)[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(this.port, "127.0.0.1");
      let answer = "";
      socket.setEncoding("utf8");
      socket.on("error", reject);
      socket.on("data", (text: string) => {
        answer += text;
        if (answer.endsWith("\r\n")) socket.destroy();
      });
      socket.on("close", () => resolve(answer));
      socket.write(`*${words.length}\r\n`);
      for (const word of words) {
        socket.write(`$${Buffer.byteLength(word)}\r\n`);
        socket.write(word);
        socket.write("\r\n");
      }
    });
  }

  /** Alive, but silent: connections stay open and nobody answers. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exit = once(running, "exit");
    running.kill("SIGKILL");
    await exit;
  }

  async #answers(): Promise<boolean> {
    if (this.#process?.exitCode !== null) throw new Error(`redis-server ended with ${this.#process?.exitCode}`);
    return /PONG|NOAUTH/.test(await this.command("PING").catch(() => ""));
  }
}

/** An aborted run leaves nothing behind. */
function tied(): string[] {
  const words = ["setpriv", "--pdeathsig", "KILL"];
  return spawnSync(words[0] ?? "", [...words.slice(1), "true"], { stdio: "ignore" }).status === 0 ? words : [];
}
