import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./documents.ts";

export interface PreviousBuild {
  readonly revision: string;
  /** A checkout of it in a folder of its own, with the packages of this one. */
  checkOut(): { readonly folder: string; remove(): void };
}

/**
 * The last release before this commit, else the commit before: what is replaced in a rolling upgrade. Undefined where
 * that cannot be had: a shallow clone, no git, or a build that needs other packages than are installed here.
 */
export function previousBuild(): PreviousBuild | undefined {
  const revision = git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^") ?? git("rev-parse", "HEAD^");
  if (revision === undefined) return undefined;
  const there = git("rev-parse", `${revision}:package-lock.json`);
  if (there === undefined || there !== git("hash-object", "package-lock.json")) return undefined;
  return {
    revision,
    checkOut() {
      const folder = mkdtempSync(join(tmpdir(), "state-hub-previous-"));
      const archive = join(folder, "archive.tar");
      const sources = join(folder, "sources");
      mkdirSync(sources);
      execFileSync("git", ["archive", "--output", archive, revision], { cwd: ROOT });
      execFileSync("tar", ["-xf", archive, "-C", sources]);
      symlinkSync(join(ROOT, "node_modules"), join(sources, "node_modules"));
      return { folder: sources, remove: () => rmSync(folder, { recursive: true, force: true }) };
    },
  };
}

function git(...args: readonly string[]): string | undefined {
  try {
    return execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}
