import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../test/support/random.ts";
import { publishReport, type Verdict } from "../support/report.ts";
import { percentiles } from "../support/statistics.ts";
import { checkHistory, type History, RULES } from "./check-history.ts";
import { lossesIn } from "./check-losses.ts";
import { collect } from "./collect.ts";
import { Crowd, type Rest } from "./crowd.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";
import { Gate } from "./gate.ts";
import { Gauge } from "./gauge.ts";

export interface Settings {
  /** How long the trouble lasts. */
  readonly seconds: number;
  readonly agents: number;
  readonly projects: number;
  /** Of each project, on each hub. */
  readonly viewersPerProject: number;
  /** Asked of all agents together; less when hubs cannot do it. */
  readonly changesPerSecond: number;
  readonly seed: number;
}

/** What a scenario has to work with. */
export interface Scene {
  readonly settings: Settings;
  readonly fleet: Fleet;
  readonly crowd: Crowd;
  readonly gauge: Gauge;
  readonly random: Random;
  /** Holds agents back, where the scenario rests at it. */
  readonly gate: Gate;
}

export interface Findings {
  /** Figures of this scenario, beside those of all. */
  readonly rows: readonly (readonly [figure: string, value: string | number])[];
  readonly verdicts: readonly Verdict[];
}

export interface Scenario {
  readonly name: string;
  readonly question: string;
  readonly defaults: Partial<Omit<Settings, "seed">> & { readonly seconds: number };
  readonly fleet: Omit<FleetOptions, "env"> & { readonly env?: FleetOptions["env"] };
  /** Whether clients go to another hub when theirs is gone. */
  readonly moves: boolean;
  /** How agents pause; by default as the rate asks. */
  readonly rest?: (settings: Settings, gate: Gate) => Rest;
  /** Makes the trouble while the crowd works, and returns how to judge what became of it. */
  trouble(scene: Scene): Promise<(history: History) => Findings>;
}

const DEFAULTS: Omit<Settings, "seconds" | "seed"> = {
  agents: 40,
  projects: 4,
  viewersPerProject: 1,
  changesPerSecond: 500,
};

const SHOWN_VIOLATIONS = 20;
/** Changes that an agent's publish makes in the log, in the mean. */
const CHANGES_PER_PUBLISH = 1.35;

interface Violation {
  readonly rule: string;
  readonly detail: string;
}

export interface Result {
  readonly verdicts: readonly Verdict[];
  readonly violations: readonly Violation[];
}

export function settingsOf(scenario: Scenario, given: Partial<Settings> & { readonly seed: number }): Settings {
  return { ...DEFAULTS, ...scenario.defaults, ...given };
}

/** Starts processes and a crowd, makes the trouble, lets everything come to rest, and judges. Prints and keeps the report. */
export async function play(
  scenario: Scenario,
  settings: Settings,
  { out, isJson = false }: { readonly out: string; readonly isJson?: boolean },
): Promise<Result> {
  const startedAt = performance.now();
  const random = new Random(settings.seed);
  const fleet = await Fleet.start({ env: {}, ...scenario.fleet });
  const gauge = new Gauge(fleet);
  const gate = new Gate();
  const rest = scenario.rest?.(settings, gate) ?? pacedRest(settings);
  const { agents, projects, viewersPerProject } = settings;
  const size = { agents, projects, viewersPerProject };
  const crowd = new Crowd({ ...size, doors: fleet.doors, moves: scenario.moves, random, rest });
  await crowd.isBusy();
  const judge = await scenario.trouble({ settings, fleet, crowd, gauge, random, gate });
  const busySeconds = (performance.now() - startedAt) / 1_000;
  const { unsettled } = await crowd.settle();
  const history = await collect(crowd, fleet.databaseUri);
  gauge.stop();
  await crowd.leave();
  await fleet.stop();

  if (crowd.ledger.counts.acked === 0) crowd.ledger.anomalies.push("nothing was acked: nothing was tested");
  const losses = lossesIn(history.entries, crowd.ledger.stays);
  const violations: Violation[] = [
    ...checkHistory(history),
    ...losses
      .filter(({ isWrong }) => isWrong)
      .map(({ session }) => ({ rule: "liveness", detail: `${session} is lost` })),
    ...crowd.ledger.anomalies.map((detail) => ({ rule: "agents", detail })),
  ];
  const findings = judge(history);
  const verdicts = [...findings.verdicts, ...ruleVerdicts(violations)];
  const { changesPerSecond, seconds, seed } = settings;
  publishReport(
    {
      name: scenario.name,
      question: scenario.question,
      mongodVersion: fleet.mongod.version,
      settings: {
        ...{ seed, seconds, hubs: scenario.fleet.hubs, agents, projects },
        ...{ "viewers per project and hub": viewersPerProject, "changes/s asked for": changesPerSecond },
      },
      tables: [
        {
          title: "What happened",
          columns: ["figure", "value"],
          rows: [
            ...findings.rows,
            ...commonRows(history, crowd, unsettled, busySeconds),
            ["sessions lost while no hub had their agent", losses.length],
          ],
        },
      ],
      verdicts,
      runs: { violations: violations.slice(0, 1_000) },
    },
    out,
    isJson ? "json" : "text",
  );
  for (const { rule, detail } of violations.slice(0, SHOWN_VIOLATIONS)) console.error(`${rule}: ${detail}`);
  if (verdicts.some(({ isMet }) => !isMet)) keepHistory(scenario.name, history, out);
  return { verdicts, violations };
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

function ruleVerdicts(violations: readonly Violation[]): Verdict[] {
  const rules = {
    ...RULES,
    liveness: "no session was lost while its agent was there",
    agents: "agents were resumed with token and last_op, and always answered",
  };
  return Object.entries(rules).map(([rule, claim]) => {
    const count = violations.filter((violation) => violation.rule === rule).length;
    return { claim: `${rule}: ${claim}`, target: "0 violations", measured: String(count), isMet: count === 0 };
  });
}

function commonRows(history: History, { ledger, viewers }: Crowd, unsettled: number, busySeconds: number) {
  const { counts } = ledger;
  const acks = percentiles(
    history.publishes.flatMap(({ course }) =>
      course?.attempts === 1 ? [Math.round(course.settled_ms - course.sent_ms)] : [],
    ),
  );
  const reasons = Map.groupBy(
    viewers.flatMap((viewer) => viewer.snapshotReasons),
    (reason) => reason,
  );
  const rows: [string, string | number][] = [
    ["publishes acked", counts.acked],
    ["publishes sent again", counts.resent],
    ["of these answered as duplicate (committed, ack lost)", counts.duplicates],
    ["publishes refused on purpose", counts.refused],
    ["publishes never answered", unsettled],
    ["answers at the first attempt, p50/p99/max ms", `${acks.p50}/${acks.p99}/${acks.max}`],
    ["sessions reopened with token", counts.resumed],
    ["changes in the log", history.entries.reduce((total, { changes }) => total + changes.length, 0)],
    ["publishes acked a second", Math.round(counts.acked / busySeconds)],
    ["frames and replays seen by viewers", history.viewers.reduce((total, { steps }) => total + steps.length, 0)],
    ["snapshots by reason", [...reasons].map(([reason, all]) => `${reason} ${all.length}`).join(", ")],
    ["seconds from start to rest", Math.round(busySeconds)],
    ["log digest", createHash("sha256").update(JSON.stringify(history.entries)).digest("hex").slice(0, 12)],
  ];
  return rows;
}

/** So that it can be looked at afterwards. */
function keepHistory(name: string, history: History, out: string): void {
  mkdirSync(out, { recursive: true });
  const file = join(out, `${name}.history.log`);
  writeFileSync(file, JSON.stringify(history));
  console.error(`the whole history is in ${file}`);
}
