import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { StartupError } from "../../server/startup-error.ts";
import { readWatchedFile, WatchedFile } from "../../server/watched-file.ts";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "watched-"));
  return stage.add(path, () => rmSync(path, { recursive: true, force: true }));
}

/** What the watcher took, and what it said. */
async function watch(path: string, refuses: (text: string) => boolean = () => false) {
  const taken: string[] = [];
  const said: { fields: object; message: string }[] = [];
  const say = (fields: object, message: string) => void said.push({ fields, message });
  const watched = new WatchedFile({
    setting: "SOME_FILE",
    path,
    text: await readWatchedFile("SOME_FILE", path),
    onChange: (text) => {
      if (refuses(text)) throw new Error("it makes no sense");
      taken.push(text);
    },
    log: { debug: say, info: say, warn: say, error: say },
    bounds: { ...BOUNDS, watchedFileMs: 5 } as unknown as typeof BOUNDS,
  });
  stage.add(watched, () => watched.stop());
  return { taken, said };
}

test("[K24] a file that is written, or replaced by a rename, is read again", async () => {
  const path = join(folder(), "keys");
  writeFileSync(path, "one\n");
  const { taken } = await watch(path);
  writeFileSync(path, "two\n");
  await eventually("two", () => taken.at(-1) === "two");
  writeFileSync(`${path}.new`, "three\n");
  renameSync(`${path}.new`, path);
  await eventually("three", () => taken.at(-1) === "three");
  expect(taken).toEqual(["two", "three"]);
});

test("[K24] a mounted secret, whose folder is swapped behind links, is read again", async () => {
  const root = folder();
  for (const [at, text] of [
    ["v1", "one"],
    ["v2", "two"],
  ] as const) {
    mkdirSync(join(root, at));
    writeFileSync(join(root, at, "keys"), text);
  }
  symlinkSync("v1", join(root, "..data"));
  symlinkSync(join("..data", "keys"), join(root, "keys"));
  const { taken } = await watch(join(root, "keys"));
  symlinkSync("v2", join(root, "..next"));
  renameSync(join(root, "..next"), join(root, "..data"));
  await eventually("two", () => taken.at(-1) === "two");
});

test("[K24] what is away or makes no sense changes nothing, is said once without its content, and heals", async () => {
  const path = join(folder(), "keys");
  writeFileSync(path, "good");
  const { taken, said } = await watch(path, (text) => text.startsWith("bad"));
  rmSync(path);
  await eventually("a word", () => said.some(({ message }) => message.includes("cannot be read")));
  writeFileSync(path, "bad secret");
  await eventually("another word", () => said.some(({ message }) => message.includes("not in force")));
  writeFileSync(path, "x".repeat(BOUNDS.watchedFileBytes + 1));
  await eventually("a third", () => said.length === 3);
  writeFileSync(path, "better");
  await eventually("better", () => taken.at(-1) === "better");
  expect(said).toHaveLength(4);
  expect(JSON.stringify(said)).not.toContain("bad secret");
});

test("[K24] at the start it has to be there", async () => {
  await expect(readWatchedFile("SOME_FILE", join(folder(), "none"))).rejects.toThrow(StartupError);
  await expect(readWatchedFile("SOME_FILE", folder())).rejects.toThrow(/SOME_FILE names .* cannot be read/);
});
