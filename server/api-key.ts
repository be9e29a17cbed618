import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartupError } from "./startup-error.ts";

export interface FirstRunKey {
  readonly key: string;
  readonly path: string;
  /** Made by this start. */
  readonly isNew: boolean;
}

/** The key of a hub without API_KEYS: made once, kept in the data folder for its owner only. */
export function firstRunKey(dataDir: string): FirstRunKey {
  const path = join(dataDir, "api-key");
  const existing = read(path);
  if (existing !== undefined) return { key: existing, path, isNew: false };
  const key = randomUUID();
  try {
    writeFileSync(path, `${key}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new StartupError(`no API key can be kept at ${path}; make DATA_DIR writable or set API_KEYS`, {
      cause: error,
    });
  }
  return { key, path, isNew: true };
}

function read(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new StartupError(`the API key in ${path} cannot be read; check its owner, or set API_KEYS`, { cause: error });
  }
  if (text.length < 8)
    throw new StartupError(`${path} holds no API key; delete it, and the next start makes a new one`);
  return text;
}
