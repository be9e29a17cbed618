import { createInterface } from "node:readline";
import { io, type Socket } from "socket.io-client";

/**
 * Agents in a process of their own, so that a test can stop, kill or cut it off as a machine would. Each has one
 * connection and one session in project `p`, beats as it is told, and comes back by its token when the connection is
 * lost. Commands come on stdin, answers go out as JSON lines.
 *
 * Usage: node test/support/agents-process.ts <url> <key> <first session> <count>
 */
const [url = "", key = "", first = "s", count = "1"] = process.argv.slice(2);

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

class Agent {
  readonly sessionId: string;
  readonly #socket: Socket;
  #proof: { incarnation: number; token: string } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #op = 0;

  constructor(sessionId: string, onOpen: () => void) {
    this.sessionId = sessionId;
    this.#socket = io(`${url}/agents`, {
      transports: ["websocket"],
      forceNew: true,
      auth: { key },
      reconnectionDelay: 100,
      reconnectionDelayMax: 1_000,
    });
    this.#socket.on("connect", () => void this.#open(onOpen));
    // What the hub refused itself, the library does not try again.
    this.#socket.on("connect_error", ({ data }: Error & { data?: { retry_after_ms?: number } }) => {
      if (!this.#socket.active) setTimeout(() => this.#socket.connect(), data?.retry_after_ms ?? 1_000);
    });
    this.#socket.on("fenced", (message) => say({ event: "fenced", message }));
  }

  async #open(onOpen: () => void): Promise<void> {
    const request = { session_id: this.sessionId, project_id: "p", machine_id: "m", ...this.#proof };
    const answer = await this.#socket.emitWithAck("session:open", request);
    if (answer.ok !== true) {
      say({ event: "refused", error: answer.error });
      setTimeout(() => this.#socket.connected && void this.#open(onOpen), 500);
      return;
    }
    this.#proof = { incarnation: answer.incarnation, token: answer.token };
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.beat(), answer.lease.interval_ms);
    onOpen();
  }

  beat(): void {
    const sessions = [{ session_id: this.sessionId, incarnation: this.#proof?.incarnation }];
    this.#socket.volatile.emit("heartbeat", { sessions });
  }

  async publish(): Promise<void> {
    this.#op += 1;
    const changes = [{ kind: "session", metadata: { op: this.#op } }];
    const request = { session_id: this.sessionId, incarnation: this.#proof?.incarnation, op: this.#op, changes };
    say({ event: "published", answer: await this.#socket.emitWithAck("changes:publish", request) });
  }

  /** The connection breaks, and the library comes back by itself. */
  drop(): void {
    this.#socket.io.engine.close();
  }
}

let open = 0;
let wanted = Number(count);
const onOpen = () => {
  open += 1;
  if (open === wanted) say({ event: "open", count });
};
const agents = Array.from({ length: Number(count) }, (_, n) => new Agent(n === 0 ? first : `${first}${n}`, onOpen));

createInterface({ input: process.stdin }).on("line", (command) => {
  if (command === "publish") for (const agent of agents) void agent.publish();
  if (command === "drop") {
    wanted += agents.length;
    for (const agent of agents) agent.drop();
  }
});
// The test is over, however it ended.
process.stdin.on("close", () => process.exit());
