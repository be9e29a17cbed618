import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { readVersion } from "./processes.ts";

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** A promise about the figures and whether this run keeps it. */
export interface Verdict {
  readonly claim: string;
  readonly target: string;
  readonly measured: string;
  readonly isMet: boolean;
}

export interface Report {
  /** File name of the results, without extension. */
  readonly name: string;
  readonly question: string;
  readonly mongodVersion?: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly tables: readonly Table[];
  readonly verdicts: readonly Verdict[];
  /** Every single run, for whoever wants to compute something else from it. */
  readonly runs: unknown;
}

/** Prints the report, as text or as JSON, and writes `<out>/<name>.json` and `<out>/<name>.md`. Results are only ever written here. */
export function publishReport(report: Report, out: string, print: "text" | "json" = "text"): void {
  const machine = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
  const versions = {
    node: process.version,
    ...(report.mongodVersion === undefined ? {} : { mongod: report.mongodVersion }),
    "socket.io": readVersion("socket.io"),
    mongoose: readVersion("mongoose"),
    ws: readVersion("ws"),
  };
  const at = new Date().toISOString();
  const text = [
    `# ${report.name}`,
    "",
    report.question,
    "",
    `${at} · ${machine.cpu}, ${machine.cores} cores, ${machine.memory_gb} GB, Linux ${machine.kernel}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(" · "),
    Object.entries(report.settings)
      .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(", ") : String(value)}`)
      .join(" · "),
    ...report.tables.flatMap(({ title, columns, rows }) => ["", `## ${title}`, "", ...formatTable(columns, rows)]),
    ...(report.verdicts.length === 0 ? [] : ["", "## Verdict", "", ...formatVerdicts(report.verdicts)]),
    "",
  ].join("\n");
  const { name, question, settings, tables, verdicts, runs } = report;
  const json = JSON.stringify({ name, question, at, machine, versions, settings, tables, verdicts, runs }, null, 2);
  console.log(print === "json" ? json : text);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, `${name}.md`), text);
  writeFileSync(join(out, `${name}.json`), `${json}\n`);
}

function formatVerdicts(verdicts: readonly Verdict[]): string[] {
  return formatTable(
    ["claim", "target", "measured", "met"],
    verdicts.map(({ claim, target, measured, isMet }) => [claim, target, measured, isMet ? "yes" : "NO"]),
  );
}

function formatTable(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)];
}

/** Three significant digits, whole numbers from 100 on. */
export function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
