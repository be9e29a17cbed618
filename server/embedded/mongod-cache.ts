import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { probeMongod, type RunnableMongod } from "./mongod-version.ts";

/** Nothing that fetches a mongod takes longer; what is older was left behind by a killed process. */
const ABANDONED_AFTER_MS = 3_600_000;

const target = `${process.platform}-${process.arch}`;
const binaryName = process.platform === "win32" ? "mongod.exe" : "mongod";

export interface CachedMongod extends RunnableMongod {
  readonly path: string;
}

/** Per user rather than per checkout, so that a fresh clone does not fetch 140 MB again. */
export function mongodCacheFolder(env: NodeJS.ProcessEnv): string {
  const base = env.STATE_HUB_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "state-hub");
  return join(base, "mongod");
}

/** The newest usable binary in the cache; the reasons why others are not are for the list of what was tried. */
export async function findCachedMongod(folder: string): Promise<CachedMongod | string> {
  const versions = listCachedVersions(folder);
  const reasons: string[] = [];
  for (const entry of versions) {
    const path = join(folder, entry, binaryName);
    const probe = await probeMongod(path);
    if (typeof probe !== "string") return { path, ...probe };
    reasons.push(`${path}: ${probe}`);
  }
  return reasons.join("; ") || "empty";
}

/**
 * Lets `fetch` put a mongod somewhere into a private folder and moves it into the cache when it is proven to run.
 * Two hubs that fetch at once each have their own folder; the second rename finds the first one's result and uses it.
 */
export async function addToCache(folder: string, fetch: (into: string) => Promise<string>): Promise<CachedMongod> {
  mkdirSync(folder, { recursive: true });
  removeAbandoned(folder);
  const work = mkdtempSync(join(folder, ".fetch-"));
  try {
    const fetched = await fetch(work);
    const probe = await probeMongod(fetched);
    if (typeof probe === "string") throw new Error(`what was fetched cannot be used: ${probe}`);
    const ready = join(work, `ready-${randomBytes(4).toString("hex")}`);
    mkdirSync(ready);
    renameSync(fetched, join(ready, binaryName));
    const path = await publish(ready, join(folder, `${probe.version}-${target}`));
    return { path, ...probe };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function publish(ready: string, final: string): Promise<string> {
  const path = join(final, binaryName);
  try {
    renameSync(ready, final);
  } catch (error) {
    // Somebody else's result is as good; a damaged one is replaced.
    if (typeof (await probeMongod(path)) !== "string") return path;
    rmSync(final, { recursive: true, force: true });
    renameSync(ready, final);
    if (typeof (await probeMongod(path)) === "string") throw error;
  }
  return path;
}

function listCachedVersions(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => !name.startsWith(".") && name.endsWith(`-${target}`))
      .sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  } catch {
    return [];
  }
}

function removeAbandoned(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.startsWith(".fetch-") && Date.now() - statSync(path).mtimeMs > ABANDONED_AFTER_MS) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}
