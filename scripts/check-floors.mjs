// Every copy of a package that package-lock.json installs must be at least as new as the release that closed its known
// holes, and what the hub is measured with must be there once. `npm run check` runs it.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Package, lowest version, what an older one lets happen. */
const FLOORS = [
  ["socket.io-parser", "4.2.7", "CVE-2026-33151, CVE-2026-69185: binary attachments exhaust memory"],
  ["ws", "8.21.1", "CVE-2026-48779, CVE-2026-62389: fragments and headers exhaust memory"],
  ["engine.io", "6.6.7", "CVE-2026-59724, CVE-2026-59725: connections are exhausted"],
  ["mongoose", "9.9.2", "sanitizeFilter lets operators pass"],
];

/** Packages of which only one major may be installed, since they were measured in this one. */
const MAJORS = [
  ["ioredis", 6],
  ["socket.io", 4],
  ["express", 5],
];

const lock = join(dirname(dirname(fileURLToPath(import.meta.url))), "package-lock.json");
const copies = Object.entries(JSON.parse(readFileSync(process.argv[2] ?? lock, "utf8")).packages).map(
  ([path, { version }]) => ({ path, name: path.slice(path.lastIndexOf("node_modules/") + 13), version }),
);

const problems = [
  ...FLOORS.flatMap(([name, floor, why]) =>
    copiesOf(name)
      .filter(({ version }) => isBelow(version, floor))
      .map(({ path, version }) => `${path} is ${version}, ${floor} is needed (${why})`),
  ),
  ...MAJORS.flatMap(([name, major]) =>
    copiesOf(name)
      .filter(({ version }) => parts(version)[0] !== major)
      .map(({ path, version }) => `${path} is ${version}, the hub is made for ${name} ${major}`),
  ),
  ...[...FLOORS, ...MAJORS]
    .filter(([name]) => copiesOf(name).length === 0)
    .map(([name]) => `${name} is not in the lock file: take it out of scripts/check-floors.mjs`),
];

for (const problem of problems) console.error(`check-floors: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`${FLOORS.length + MAJORS.length} packages are as new as they must be`);

function copiesOf(name) {
  return copies.filter((copy) => copy.name === name);
}

/** A pre-release comes before its release. */
function isBelow(version, floor) {
  const [have, want] = [parts(version), parts(floor)];
  const first = have.findIndex((part, index) => part !== want[index]);
  return first < 0 ? version.includes("-") : have[first] < want[first];
}

function parts(version) {
  return version.split(/[-+]/, 1)[0].split(".").map(Number);
}
