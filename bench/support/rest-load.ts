import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { BENCH_KEY } from "./processes.ts";

export interface RestAnswer {
  readonly status: number;
  readonly ms: number;
  readonly body: string;
}

/** A client of one server over connections that stay open. */
export class RestClient {
  readonly #agent: Agent;
  readonly #base: string;

  constructor(url: string, connections: number) {
    this.#base = url.replace(/^ws/, "http");
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  get(path: string): Promise<RestAnswer> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const options = { agent: this.#agent, headers: { "X-Api-Key": BENCH_KEY } };
      const request = get(`${this.#base}${path}`, options, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          body += text;
        });
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, ms: performance.now() - started, body }));
      });
      request.on("error", reject);
    });
  }

  /** So many requests, `inFlight` at a time; what fails has status 0. */
  async load(count: number, inFlight: number, pathOf: (index: number) => string): Promise<RestAnswer[]> {
    const answers: RestAnswer[] = [];
    let next = 0;
    const one = async () => {
      while (next < count) {
        const index = next++;
        answers.push(await this.get(pathOf(index)).catch(() => ({ status: 0, ms: 0, body: "" })));
      }
    };
    await Promise.all(Array.from({ length: inFlight }, one));
    return answers;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/**
 * So many requests, one every `everyMs`, whether or not those before were answered. The time of each runs from when it
 * was due (`performance.now()`), so that waiting for others counts; `onAnswer` hears of it before the next is asked for.
 */
export async function paced(
  count: number,
  everyMs: number,
  ask: (index: number) => Promise<RestAnswer>,
  onAnswer: (index: number, answer: RestAnswer, dueMs: number) => void,
): Promise<void> {
  const started = performance.now();
  const one = async (index: number) => {
    const due = started + index * everyMs;
    const answer = await ask(index).catch(() => ({ status: 0, ms: 0, body: "" }));
    onAnswer(index, { ...answer, ms: performance.now() - due }, due);
  };
  const open: Promise<void>[] = [];
  for (let index = 0; index < count; index++) {
    await sleep(Math.max(0, started + index * everyMs - performance.now()));
    open.push(one(index));
  }
  await Promise.all(open);
}
