import { LOCAL_FAN_OUT } from "../../server/local-fan-out.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { AppendOutcome, ChangeLog } from "../../server/ports.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf } from "../support/entries.ts";
import { Random } from "../support/random.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { checkLog } from "./checks.ts";
import { FaultyBus } from "./faulty-bus.ts";
import { type Faults, FaultyChangeLog, FaultyProjections, MajorityLag, NO_FAULTS, Wire } from "./faulty-ports.ts";

export interface HotProject {
  readonly seed: number;
  /** Changes a second that agents of each hub publish into the one project. */
  readonly rates: readonly number[];
  /** How long agents publish, in virtual milliseconds. */
  readonly forMs: number;
  readonly hasRedis: boolean;
  /** Of all hubs, and of the last one alone. */
  readonly faults?: Partial<Faults>;
  readonly lastHub?: Partial<Faults>;
}

export interface HotResult {
  /** Milliseconds from due to acked, by hub, sorted. */
  readonly latencies: readonly (readonly number[])[];
  readonly entries: number;
  readonly lostRaces: number;
  /** Other answers than an ack, by code. */
  readonly refusals: readonly string[];
}

/** About what a loaded machine shows: an append that is acked after 3 to 15 ms, seen elsewhere a moment later. */
const FAULTS: Faults = { ...NO_FAULTS, latencyMs: 3, majorityLagMs: 10, busDelayMs: 3 };

const AGENTS_PER_HUB = 10;
const LIMIT_MS = 60_000;

/** Several hubs that write one project, each with agents that publish when they are due. The log is checked at the end. */
export async function playHotProject({
  seed,
  rates,
  forMs,
  hasRedis,
  faults,
  lastHub,
}: HotProject): Promise<HotResult> {
  const time = new VirtualTime();
  const random = new Random(seed);
  const usual = { ...FAULTS, ...faults };
  const changeLog = new MemoryChangeLog();
  const projections = new MemoryProjections();
  const lag = new MajorityLag();
  const bus = new FaultyBus();
  const latencies = rates.map((): number[] => []);
  const refusals: string[] = [];
  let lostRaces = 0;
  let acked = 0;

  const startHub = (index: number) => {
    const isLast = index === rates.length - 1;
    const wire = new Wire({ time, random, faults: isLast ? { ...usual, ...lastHub } : usual });
    const counted = countTaken(new FaultyChangeLog(changeLog, wire, lag), () => {
      lostRaces += 1;
    });
    const core = new Core({
      hubId: `h${index}`,
      time,
      changeLog: counted,
      projections: new FaultyProjections(projections, wire, () => undefined),
      fanOut: hasRedis ? bus.connect(wire) : LOCAL_FAN_OUT,
    });
    return core;
  };

  const publishAll = async (core: Core, hub: number, agent: number) => {
    const sessionId = `s${hub}-${agent}`;
    await core.answer("p", openOf(sessionId));
    const everyMs = (AGENTS_PER_HUB * 1_000) / (rates[hub] ?? 1);
    let due = time.monotonic() + random.next() * everyMs;
    for (let op = 1; due < forMs; due += everyMs) {
      if (due > time.monotonic()) await time.sleep(due - time.monotonic());
      const publish = publishOf(op, [{ kind: "session", metadata: { op } }], { session_id: sessionId });
      const outcome = await core.submit("p", publish);
      if (outcome.ok) {
        op += 1;
        acked += 1;
      } else {
        refusals.push(outcome.refusal.code);
      }
      latencies[hub]?.push(time.monotonic() - due);
    }
  };

  await time.run(
    () => random.next(),
    LIMIT_MS,
    async () => {
      const hubs = rates.map((_, index) => startHub(index));
      await Promise.all(
        hubs.flatMap((core, hub) => Array.from({ length: AGENTS_PER_HUB }, (_, agent) => publishAll(core, hub, agent))),
      );
      for (const core of hubs) core.stop();
    },
  );
  const entries = changeLog.entries("p");
  checkLog(entries);
  const ops = entries.flatMap(({ changes }) => changes.filter(({ op }) => op !== undefined));
  if (ops.length !== acked) throw new Error(`${acked} publishes were acked, ${ops.length} are in the log`);
  for (const list of latencies) list.sort((a, b) => a - b);
  return { latencies, entries: entries.length, lostRaces, refusals };
}

function countTaken(real: ChangeLog, onTaken: () => void): ChangeLog {
  const append = async (entries: Parameters<ChangeLog["append"]>[0]): Promise<readonly AppendOutcome[]> => {
    const outcomes = await real.append(entries);
    for (const outcome of outcomes) if (outcome === "taken") onTaken();
    return outcomes;
  };
  return new Proxy(real, {
    get: (target, name) => {
      if (name === "append") return append;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
