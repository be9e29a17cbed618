import { setTimeout as sleep } from "node:timers/promises";
import { type Ack, RawSocket } from "../../support/raw-socket.ts";
import { serve } from "../../support/worker.ts";
import type { PublishRecord } from "../check-history.ts";

/**
 * Agents and viewers who behave, in a process of their own, so that what is measured is the hub and not the load that
 * is put on it beside them. What is told of them: how long their publishes took, and what went wrong.
 */
export interface OpenBystanders {
  readonly url: string;
  readonly key: string;
  readonly agents: number;
  readonly viewers: number;
  /** Each agent publishes so often. */
  readonly everyMs: number;
}

export interface BystandersReport {
  readonly publishes: readonly PublishRecord[];
  readonly frames: number;
  readonly failures: readonly string[];
}

export const BYSTANDERS_PROJECT = "bystanders";
const ANSWER_MS = 10_000;
const MAX_FAILURES = 20;

const publishes: PublishRecord[] = [];
const failures: string[] = [];
const latencies: number[] = [];
const working: Promise<void>[] = [];
let isOver = false;
let frames = 0;

function fail(reason: string): void {
  if (failures.length < MAX_FAILURES) failures.push(reason);
}

async function open({ url, key, agents, viewers, everyMs }: OpenBystanders): Promise<void> {
  for (let index = 0; index < viewers; index++) await view(url, key);
  for (let index = 0; index < agents; index++) await startWork(url, key, index, everyMs);
}

async function view(url: string, key: string): Promise<void> {
  const viewer = await RawSocket.connect({ url, namespace: "/viewers", auth: { key } });
  const joined = await viewer.request("project:join", { project_id: BYSTANDERS_PROJECT });
  let next = Number(joined.seq) + 1;
  viewer.onEvent = (event, body) => {
    if (event !== "changes") return;
    const { from_seq, to_seq } = body as { from_seq: number; to_seq: number };
    if (from_seq !== next) fail(`a viewer stood at ${next - 1} and got ${from_seq}`);
    next = to_seq + 1;
    frames += 1;
  };
  viewer.onClose = () => {
    if (!isOver) fail("a viewer lost its connection");
  };
}

/** Resolves when its session is open. */
async function startWork(url: string, key: string, index: number, everyMs: number): Promise<void> {
  const session_id = `bystander-${index}`;
  const agent = await RawSocket.connect({ url, namespace: "/agents", auth: { key, agent_id: session_id } });
  const opened = await agent.request("session:open", {
    ...{ session_id, project_id: BYSTANDERS_PROJECT, machine_id: "m" },
  });
  if (!opened.ok) throw new Error(`a bystander's session:open: ${JSON.stringify(opened)}`);
  working.push(publishAll(agent, session_id, everyMs));
}

async function publishAll(agent: RawSocket, session_id: string, everyMs: number): Promise<void> {
  // Each at its own time, not all in one turn.
  await sleep(Math.random() * everyMs);
  for (let op = 1; !isOver; op++) {
    const startedAt = performance.now();
    const mark = `${session_id}-${op}`;
    const changes = [{ kind: "session", metadata: { mark } }];
    const answer = await within(agent.request("changes:publish", { session_id, incarnation: 1, op, changes }));
    const ms = performance.now() - startedAt;
    latencies.push(ms);
    const what = { project_id: BYSTANDERS_PROJECT, session_id, incarnation: 1, op, mark, changes: 1 };
    publishes.push({ ...what, outcome: answer?.ok === true ? "acked" : "unknown" });
    if (answer?.ok !== true) fail(`${mark}: ${JSON.stringify(answer ?? "no answer")}`);
    if (!agent.isOpen) return fail(`${session_id} lost its connection`);
    await sleep(Math.max(0, everyMs - ms));
  }
  agent.terminate();
}

function within(answer: Promise<Ack>): Promise<Ack | undefined> {
  return Promise.race([answer.catch(() => undefined), sleep(ANSWER_MS, undefined, { ref: false })]);
}

const operations = {
  open,
  /** Forgets what was measured so far. */
  begin: (_: object) => void latencies.splice(0),
  /** Milliseconds of each publish since. */
  end: (_: object): readonly number[] => latencies,
  finish: async (_: object): Promise<BystandersReport> => {
    isOver = true;
    await Promise.all(working);
    return { publishes, frames, failures };
  },
};

export type Bystanders = typeof operations;

serve(operations);
