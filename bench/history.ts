// How long does it take to know what was, 100,000 changes after a project began?

import { monitorEventLoopDelay } from "node:perf_hooks";
import { readConfig } from "../server/config.ts";
import { startHub } from "../server/hub.ts";
import { createLogger } from "../server/observability/logger.ts";
import { sessionName, writeHistory } from "./support/long-history.ts";
import { BENCH_KEY, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { percentiles } from "./support/statistics.ts";
import { watchCpu } from "./support/watch-cpu.ts";

const TARGET_MS = 200;
const STALL_MS = 50;
const PROJECT = "long";
const settings = readSettings(
  { pairs: 1, seconds: 1, warmupSeconds: 1 },
  { changes: [100_000], sessions: [500], requests: [100], entry: [1, 10] },
);
const [changes = 0] = settings.changes;
const [sessions = 0] = settings.sessions;
const [requests = 0] = settings.requests;

const mongod = await startMongod();
const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
const runs: Record<string, number[]> = {};

/** Milliseconds until the answer. */
async function timeOf(url: string): Promise<number> {
  const started = performance.now();
  const response = await fetch(url, { headers: { "X-Api-Key": BENCH_KEY } });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${text}`);
  return performance.now() - started;
}

/** Milliseconds of CPU of this process, which is hub and client. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** Milliseconds of each answer, one after the other. */
async function measure(name: string, paths: () => string, url: string): Promise<void> {
  const times: number[] = [];
  const ask = () => timeOf(url + paths());
  for (let warm = 0; warm < Math.min(10, requests); warm++) await ask();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = watchCpu();
  const before = process.cpuUsage();
  for (let count = 0; count < requests; count++) times.push(await ask());
  delay.disable();
  const cpuMs = cpuSince(before) / requests;
  const [stallMs, stallCpuMs] = [round(delay.max / 1e6), round(cpu.stop())];
  const found = percentiles(times);
  const p99 = round(found.p99);
  runs[name] = times;
  rows.push([name, round(found.p50), p99, round(found.max), round(cpuMs), stallMs, stallCpuMs]);
  verdicts.push(
    { claim: `${name}: p99`, target: `${TARGET_MS} ms`, measured: `${p99} ms`, isMet: p99 <= TARGET_MS },
    {
      claim: `${name}: longest stall`,
      target: `${STALL_MS} ms`,
      measured: `${stallMs} ms`,
      isMet: stallMs <= STALL_MS,
    },
  );
}

for (const perEntry of settings.entry) {
  const uri = mongod.uri(`history-${perEntry}`);
  const head = await writeHistory(uri, { projectId: PROJECT, sessions, changes, perEntry });
  const config = readConfig({ PORT: "0", API_KEYS: BENCH_KEY, LOG_LEVEL: "silent", LOG_RETENTION_DAYS: "0" });
  const hub = await startHub({
    config,
    mongodbUri: uri,
    keys: [BENCH_KEY],
    log: createLogger("silent", { isTerminal: false }),
    onEnd: () => {},
  });
  const url = `http://127.0.0.1:${hub.port}`;
  const anySeq = () => 1 + Math.floor(Math.random() * head.seq);
  const anyTime = () => new Date(Date.parse(head.at) - Math.floor(Math.random() * 250 * (head.seq / perEntry - 1)));
  // The first sessions are there from the beginning.
  const anySession = () => sessionName(Math.floor(Math.random() * 10));
  const later = () => Math.max(sessions + perEntry, anySeq());
  const of = `entries of ${perEntry}`;
  await measure(`${of}: session at a seq`, () => `/sessions/${anySession()}?project_id=${PROJECT}&at=${later()}`, url);
  // No state of the past is remembered yet.
  const before = process.cpuUsage();
  const first = round(await timeOf(`${url}/projects/${PROJECT}/snapshot?at=${head.seq - 1}`));
  rows.push([`${of}: project, the first question`, first, first, first, round(cpuSince(before)), "", ""]);
  await measure(`${of}: project at a seq`, () => `/projects/${PROJECT}/snapshot?at=${anySeq()}`, url);
  await measure(`${of}: project at a time`, () => `/projects/${PROJECT}/snapshot?at=${anyTime().toISOString()}`, url);
  await measure(
    `${of}: 500 changes since`,
    () => `/projects/${PROJECT}/changes?since=${head.epoch}:${Math.max(0, anySeq() - 500)}&limit=500`,
    url,
  );
  await hub.stop();
}

const { out, seconds: _, pairs: __, warmupSeconds: ___, ...shown } = settings;
publishReport(
  {
    name: "history",
    question:
      "How long does it take to know what was, anywhere in the first changes of a project, and who waits for it?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "Time of an answer",
        columns: ["what", "p50 ms", "p99 ms", "longest ms", "CPU ms each", "longest stall ms", "of it own CPU"],
        rows,
      },
    ],
    verdicts,
    runs,
  },
  out,
);
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
