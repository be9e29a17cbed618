import { DRIVERS, type PublishingSession, realisticMetadata } from "./drivers.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/** Agents that publish at a steady pace, each once a second unless its last publish is not answered yet. */
export interface OpenSteady {
  readonly url: string;
  readonly agents: number;
  readonly projects: number;
  readonly prefix: string;
}

export interface Pace {
  readonly changesPerSecond: number;
  /** Bytes that each change carries beside its usual 200. */
  readonly extraBytes: number;
}

/** Of the publishes sent at `sentAt` (milliseconds since 1970). */
interface Answered {
  readonly sentAt: number;
  readonly afterMs: number;
}

const OPENING_AT_ONCE = 50;
const TICK_MS = 10;

const sessions: PublishingSession[] = [];
const unanswered = new Set<PublishingSession>();
const answered: Answered[] = [];
const errors: Record<string, number> = {};
let pacing: Pace = { changesPerSecond: 0, extraBytes: 0 };

async function open({ url, agents, projects, prefix }: OpenSteady): Promise<void> {
  const waiting = Array.from({ length: agents }, (_, index) => index);
  const { connect, open: openSession } = DRIVERS["state-hub"];
  const openNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const socket = await connect(url, `${prefix}-agent-${index}`);
      const ref = { sessionId: `${prefix}-session-${index}`, projectId: `${prefix}-${index % projects}` };
      sessions.push(await openSession(socket, ref));
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openNext));
}

/** From the next tick on. */
function pace(next: Pace): void {
  pacing = next;
}

let next = 0;
let owed = 0;
let lastTick = performance.now();
setInterval(() => {
  const now = performance.now();
  owed += ((now - lastTick) / 1000) * pacing.changesPerSecond;
  lastTick = now;
  for (; owed >= 1 && sessions.length > 0; owed -= 1) {
    const session = sessions[next++ % sessions.length];
    if (session !== undefined) void publish(session, next);
  }
}, TICK_MS);

/** Viewers tell the time of a change from `sent_at`. One agent's change at a time: what is skipped is an error too. */
async function publish(session: PublishingSession, count: number): Promise<void> {
  if (unanswered.has(session)) return note("skipped: the last publish was not answered yet");
  unanswered.add(session);
  const sentAt = Date.now();
  const startedAt = performance.now();
  try {
    const metadata = { ...realisticMetadata(count), sent_at: sentAt, extra: "x".repeat(pacing.extraBytes) };
    const ack = await session.publish(metadata);
    if (ack.ok) answered.push({ sentAt, afterMs: performance.now() - startedAt });
    else note(String((ack.error as { code: string }).code));
  } catch (error) {
    note((error as Error).constructor.name);
  }
  unanswered.delete(session);
}

function note(what: string): void {
  errors[what] = (errors[what] ?? 0) + 1;
}

/** Acks of what was sent between these times (milliseconds since 1970). What is not answered yet counts as it waits. */
function window({ from, to }: { readonly from: number; readonly to: number }): {
  readonly acks: Percentiles;
  readonly errors: Readonly<Record<string, number>>;
} {
  const within = answered.filter(({ sentAt }) => sentAt >= from && sentAt < to);
  return { acks: percentiles(within.map(({ afterMs }) => afterMs)), errors };
}

/** Stops publishing and waits for the answers that are due. */
async function settle(_: null): Promise<void> {
  pacing = { changesPerSecond: 0, extraBytes: 0 };
  for (let wait = 0; unanswered.size > 0 && wait < 500; wait += 1)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
}

export const operations = { open, pace, window, settle };
serve(operations);
