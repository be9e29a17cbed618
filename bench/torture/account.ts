import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publishReport, type Verdict } from "../support/report.ts";
import { percentiles } from "../support/statistics.ts";
import { checkHistory, type History, RULES } from "./check-history.ts";
import type { Course } from "./perform.ts";
import type { Scenario, Settings } from "./scenario.ts";

const SHOWN_VIOLATIONS = 20;

interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** Judges what became of a scenario, prints and keeps the report. */
export function account(
  scenario: Scenario,
  settings: Settings,
  course: Course,
  { out, isJson = false }: { readonly out: string; readonly isJson?: boolean },
): readonly Verdict[] {
  const { history, losses, judge, mongodVersion } = course;
  const violations = violationsOf(course);
  const findings = judge(history);
  const verdicts = [...findings.verdicts, ...ruleVerdicts(violations)];
  const { agents, projects, viewersPerProject, changesPerSecond, seconds, seed } = settings;
  publishReport(
    {
      name: scenario.name,
      question: scenario.question,
      mongodVersion,
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
            ...commonRows(course),
            ["sessions lost while no hub had their agent", losses.filter(({ isWrong }) => !isWrong).length],
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
  return verdicts;
}

function violationsOf({ history, crowd, losses }: Course): Violation[] {
  const { anomalies, counts } = crowd.ledger;
  return [
    ...checkHistory(history),
    ...losses
      .filter(({ isWrong }) => isWrong)
      .map(({ session }) => ({ rule: "liveness", detail: `${session} is lost` })),
    ...anomalies.map((detail) => ({ rule: "agents", detail })),
    ...(counts.acked > 0 ? [] : [{ rule: "agents", detail: "nothing was acked: nothing was tested" }]),
  ];
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

function commonRows({ history, crowd, unsettled, busySeconds, load, lateMs }: Course) {
  const { ledger, viewers } = crowd;
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
    ["load average of the machine; agents and viewers ran late by, p99 ms", `${load.toFixed(1)}; ${lateMs}`],
    ["seconds of work", Math.round(busySeconds)],
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
