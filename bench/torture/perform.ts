import { loadavg } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Random } from "../../test/support/random.ts";
import type { History } from "./check-history.ts";
import { type Loss, lossesIn } from "./check-losses.ts";
import { collect } from "./collect.ts";
import { Crowd, type Rest } from "./crowd.ts";
import { Fleet } from "./fleet.ts";
import { Gate } from "./gate.ts";
import { Gauge } from "./gauge.ts";
import type { Findings, Scenario, Settings } from "./scenario.ts";

/** Changes that an agent's publish makes in the log, in the mean. */
const CHANGES_PER_PUBLISH = 1.35;

/** What became of a scenario. */
export interface Course {
  readonly judge: (history: History) => Findings;
  readonly history: History;
  readonly crowd: Crowd;
  readonly losses: readonly Loss[];
  /** Publishes that were never answered. */
  readonly unsettled: number;
  /** For which agents were at work. */
  readonly busySeconds: number;
  /** How busy the machine was: its load average at the end, and how late this process ran, 99th percentile in ms. */
  readonly load: number;
  readonly lateMs: number;
  readonly mongodVersion: string;
}

/** Starts processes and a crowd, makes the trouble, lets everything come to rest, and reads what came of it. */
export async function perform(scenario: Scenario, settings: Settings): Promise<Course> {
  const random = new Random(settings.seed);
  const gate = new Gate();
  const fleet = await Fleet.start({ env: {}, ...scenario.fleet });
  const gauge = new Gauge(fleet);
  const startedAt = performance.now();
  const crowd = new Crowd({
    agents: settings.agents,
    projects: settings.projects,
    viewersPerProject: settings.viewersPerProject,
    doors: fleet.doors,
    moves: scenario.moves,
    random,
    rest: scenario.rest?.(settings, gate) ?? pacedRest(settings),
  });
  await crowd.isBusy();
  const lateness = monitorEventLoopDelay();
  lateness.enable();
  const judge = await scenario.trouble({ settings, fleet, crowd, gauge, random, gate });
  const busySeconds = (performance.now() - startedAt) / 1_000;
  lateness.disable();
  const [load = 0] = loadavg();
  const { unsettled } = await crowd.settle();
  const history = await collect(crowd, fleet.databaseUri);
  gauge.stop();
  await crowd.leave();
  await fleet.stop();
  return {
    ...{ judge, history, crowd, unsettled, busySeconds, load, mongodVersion: fleet.mongod.version },
    lateMs: Math.round(lateness.percentile(99) / 1e6),
    losses: lossesIn(history.entries, crowd.ledger.stays),
  };
}

/** Each agent keeps its pace however long an ack takes, and does not make up for what it could not do. */
function pacedRest({ agents, changesPerSecond }: Settings): Rest {
  const everyMs = (1_000 * agents * CHANGES_PER_PUBLISH) / changesPerSecond;
  return ({ random }) => {
    let nextMs = performance.now();
    return async () => {
      nextMs = Math.max(performance.now(), nextMs + random.between(0, 2 * everyMs));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextMs - performance.now())));
    };
  };
}
