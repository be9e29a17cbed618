// What does it cost to know a key? CPU of one check, with as many managed keys as a hub holds.

import { BOUNDS } from "../server/bounds.ts";
import { digestOf, fingerprintOf, newKey } from "../server/domain/api-key.ts";
import { ProjectScope } from "../server/domain/project-scope.ts";
import { KeyRing } from "../server/keys/key-ring.ts";
import { publishReport, round } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";

const TARGET_US = 5;
const CHECKS = 100_000;
const settings = readSettings({ pairs: 9, seconds: 1, warmupSeconds: 1 }, {});

const ring = new KeyRing({
  clock: { now: Date.now, monotonic: () => performance.now() },
  log: { debug() {}, info() {}, warn() {}, error() {} },
  isOpen: false,
});
const newKeys = () => Array.from({ length: BOUNDS.managedKeys }, newKey);
const [known, unknown] = [newKeys(), newKeys()];
const scope = new ProjectScope(["web", "acme-*"]);
ring.setKeys(
  "managed",
  known.map((key, index) => {
    const digest = digestOf(key);
    return { digest, principal: { role: "agent", scope, keyId: `key-${index}`, fingerprint: fingerprintOf(digest) } };
  }),
);

/** Microseconds of this process's CPU a check. */
function measure(keys: readonly string[]): number {
  const before = process.cpuUsage();
  for (let check = 0; check < CHECKS; check++) ring.identify(keys[check % keys.length]);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CHECKS;
}

measure(known);
measure(unknown);
const runs = Array.from({ length: settings.pairs }, () => ({ known: measure(known), unknown: measure(unknown) }));
const figures = {
  known: median(runs.map((run) => run.known)),
  unknown: median(runs.map((run) => run.unknown)),
};
const isMet = figures.known <= TARGET_US && figures.unknown <= TARGET_US;
publishReport(
  {
    name: "key-check",
    question: "What CPU does it cost to know a key, without a look at MongoDB?",
    settings: { pairs: settings.pairs, checks: CHECKS, keys: BOUNDS.managedKeys },
    tables: [
      {
        title: "CPU of a check",
        columns: ["key", "µs, median"],
        rows: [
          ["in force", round(figures.known)],
          ["unknown", round(figures.unknown)],
        ],
      },
    ],
    verdicts: [
      {
        claim: "a check of a key, in force or not",
        target: `≤ ${TARGET_US} µs`,
        measured: `${round(figures.known)} and ${round(figures.unknown)} µs`,
        isMet,
      },
    ],
    runs,
  },
  settings.out,
);
process.exitCode = isMet ? 0 : 1;
