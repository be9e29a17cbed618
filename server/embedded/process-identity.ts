import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * A process id alone does not name a process: after a crash or a reboot it soon belongs to another one. Together with
 * the time of its start it does. Undefined where the system does not tell.
 */
export function processStart(pid: number): string | undefined {
  if (process.platform === "linux") return linuxStart(pid);
  if (process.platform === "win32") return undefined;
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", timeout: 2000 }).trim();
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it exists, but belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return linuxState(pid) !== "Z";
}

/** The arguments a process was started with; Linux only. */
export function commandLine(pid: number): readonly string[] | undefined {
  const text = read(`/proc/${pid}/cmdline`);
  return text === undefined ? undefined : text.split("\0").slice(0, -1);
}

/** Ticks since boot are repeated after the next boot, so the boot's own id goes with them. */
function linuxStart(pid: number): string | undefined {
  const ticks = statFields(pid)?.[19];
  if (ticks === undefined) return undefined;
  return `${read("/proc/sys/kernel/random/boot_id")?.trim() ?? ""}/${ticks}`;
}

function linuxState(pid: number): string | undefined {
  return statFields(pid)?.[0];
}

/** The fields after the command name, which is in parentheses and may hold spaces and parentheses itself. */
function statFields(pid: number): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
