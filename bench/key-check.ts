// What does it cost to know a key? CPU of one check, with as many managed keys as a hub holds at most.

import { BOUNDS } from "../server/bounds.ts";
import { digestOf, fingerprintOf, newKey } from "../server/domain/api-key.ts";
import { ProjectScope } from "../server/domain/project-scope.ts";
import { KeyRing } from "../server/keys/key-ring.ts";

const TARGET_US = 5;
const ROUNDS = 7;
const CHECKS = 200_000;

const keys = Array.from({ length: BOUNDS.managedKeys }, newKey);
const strangers = Array.from({ length: BOUNDS.managedKeys }, newKey);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const clock = { now: Date.now, monotonic: () => performance.now() };
const ring = new KeyRing({ clock, log: silent, isOpen: false });
const scope = new ProjectScope(["web", "acme-*"]);
ring.setKeys(
  "managed",
  keys.map((key, index) => {
    const digest = digestOf(key);
    return { digest, principal: { role: "agent", scope, keyId: `key-${index}`, fingerprint: fingerprintOf(digest) } };
  }),
);

/** Microseconds of this process's CPU a check, median of the rounds. */
function measure(given: readonly string[]): number {
  const figures: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let check = 0; check < CHECKS; check++) ring.identify(given[check % given.length]);
    const { user, system } = process.cpuUsage(before);
    figures.push((user + system) / CHECKS);
  }
  return figures.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.NaN;
}

measure(keys.slice(0, 10));
const [known, unknown] = [measure(keys), measure(strangers)];
const isGood = known <= TARGET_US && unknown <= TARGET_US;
const figure = (value: number) => `${value.toFixed(2)} µs`;
console.log(`node ${process.version}, ${keys.length} managed keys, median of ${ROUNDS} × ${CHECKS} checks`);
console.log(`CPU of a check: known key ${figure(known)}, unknown key ${figure(unknown)}; target ${TARGET_US} µs`);
console.log(isGood ? "PASS" : "FAIL");
process.exitCode = isGood ? 0 : 1;
