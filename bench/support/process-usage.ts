import { readFileSync } from "node:fs";

/** USER_HZ, which Linux fixes at 100 for everything it shows in /proc. */
const TICKS_PER_SECOND = 100;

/**
 * CPU time a process has used so far, all its threads, user and system, in seconds (10 ms steps).
 * Read from /proc, so Linux only, and from outside: the measured process does nothing for it.
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in brackets and may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * 1024;
}

/** CPU time used by everything on the machine together, in seconds: shows whether somebody else was working. */
function machineCpuSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync("/proc/stat", "utf8")
    .slice("cpu ".length, 400)
    .trimStart()
    .split(" ")
    .slice(0, 8)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

export interface CpuSample {
  readonly atMs: number;
  readonly machine: number;
  readonly processes: Readonly<Record<string, number>>;
}

/** One look at the clock, the machine and the named processes, taken together. */
export function sampleCpu(pids: Readonly<Record<string, number>>): CpuSample {
  const processes = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
  return { atMs: performance.now(), machine: machineCpuSeconds(), processes };
}

export interface CpuUse {
  readonly seconds: number;
  /** CPU seconds by process name. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Share of one core that went to processes outside this bench (kernel work in softirq counts here too). */
  readonly otherCores: number;
}

export function cpuBetween(before: CpuSample, after: CpuSample): CpuUse {
  const seconds = (after.atMs - before.atMs) / 1000;
  const cpu = Object.fromEntries(
    Object.entries(after.processes).map(([name, used]) => [name, used - (before.processes[name] ?? 0)]),
  );
  const ours = Object.values(cpu).reduce((total, used) => total + used, 0);
  return { seconds, cpu, otherCores: Math.max(0, (after.machine - before.machine - ours) / seconds) };
}
