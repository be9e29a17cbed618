import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { commandLine } from "./process-identity.ts";

/** A machine full of processes must not make an error message late. */
const SEARCH_BUDGET_MS = 300;

/** Who listens on a port, for example `node server.js (pid 4711)`; best effort, undefined when it cannot be told. */
export function portOwner(port: number): string | undefined {
  try {
    const pid = process.platform === "linux" ? linuxOwner(port) : lsofOwner(port);
    return pid === undefined ? undefined : `${processName(pid)} (pid ${pid})`;
  } catch {
    return undefined;
  }
}

/** /proc/net/tcp names the socket, and the process that has it open has a link to it among its file descriptors. */
function linuxOwner(port: number): number | undefined {
  const inodes = new Set([...listeningInodes("/proc/net/tcp", port), ...listeningInodes("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return undefined;
  const giveUpAt = performance.now() + SEARCH_BUDGET_MS;
  for (const pid of readdirSync("/proc")) {
    if (performance.now() > giveUpAt) return undefined;
    if (/^\d+$/.test(pid) && hasOneOf(pid, inodes)) return Number(pid);
  }
  return undefined;
}

function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readOrEmpty(table)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === "0A")
    .map((fields) => fields[9] ?? "");
}

function hasOneOf(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkTarget(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    });
  } catch {
    return false; // Somebody else's process, or gone meanwhile.
  }
}

function lsofOwner(port: number): number | undefined {
  const args = ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fp"];
  const pid = /^p(\d+)/m.exec(execFileSync("lsof", args, { encoding: "utf8", timeout: 2000 }))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** The program and, for an interpreter, its script; never further arguments, which may hold secrets. */
function processName(pid: number): string {
  const [program = "a process", script] = commandLine(pid) ?? [];
  const name = basename(program.split(" ")[0] ?? program);
  const isScript = script !== undefined && /\.(m?[jt]s|c?js|py|rb)$/.test(script);
  return isScript ? `${name} ${basename(script)}` : name;
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
