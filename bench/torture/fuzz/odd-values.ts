import type { Random } from "../../../test/support/random.ts";

/** What clients are not expected to say: names, strings, numbers and JSON that meet every rule of the protocol. */

export const IDS = ["a", "b", "c", "A", "a.b", "0", "__proto__", "constructor", "x".repeat(128), "x".repeat(129)];
IDS.push("", "a b", "é", "../x", "a/b", "a#b", "\n", "\u202e", "p:a", "/agents", "$ne", "-a");

export const STATUSES = ["ACTIVE", "IDLE", "WAITING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"];
export const TASK_STATUSES = ["COMPLETED", "FAILED", "CANCELLED", "PENDING", "IN_PROGRESS", "BLOCKED"];

export const KEYS = [
  "a",
  "b",
  "",
  "toString",
  "hasOwnProperty",
  "length",
  "0",
  "-1",
  "then",
  "toJSON",
  "toBSON",
  "_id",
];
KEYS.push("id", "\u0001", "é", "ключ", "a-b", "recovery_attempts", "valueOf", "ok", "error", "event");

/** Keys that are `VALIDATION` wherever they stand. */
const BAD_KEYS = ["__proto__", "constructor", "prototype", "$set", "$", "a.b", ".", "\0", "_bsontype"];

export const STRINGS = ["", "a", "\0", "\n", "\r\nX-A: b", "\u001b[31m", "\u202e", "\ufeff", "\u{1f600}", "e\u0301"];
STRINGS.push("\ud800", "$where", "null", "1", "2026-11-22T06:00:00.000Z", "__proto__", "[object Object]", "%s%n");

export const NUMBERS = [0, -0, 1, -1, 0.1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e300, 5e-324];

/** Any JSON value, at most so deep. */
export function value(random: Random, depth: number): unknown {
  const kind = random.next();
  if (kind < 0.3 || depth === 0) {
    const well = STRINGS.filter((one) => one !== "\ud800");
    return random.pick<unknown>([...well, ...NUMBERS, true, false, null, null]);
  }
  if (kind < 0.35) return random.pick<unknown>([...STRINGS, ...NUMBERS]);
  if (kind < 0.6) return Array.from({ length: random.integer(0, 3) }, () => value(random, depth - 1));
  const keys = random.chance(0.01) ? BAD_KEYS : KEYS;
  const length = random.integer(0, random.chance(0.01) ? 80 : 3);
  return Object.fromEntries(Array.from({ length }, () => [random.pick(keys), value(random, depth - 1)]));
}

export function metadata(random: Random): unknown {
  if (random.chance(0.02)) return value(random, 3);
  const entries = Array.from({ length: random.integer(0, 3) }, () => [random.pick(KEYS), value(random, 3)]);
  return Object.fromEntries(entries);
}

/** JSON text, now and then with a number that fits no double. */
export function write(random: Random, json: unknown): string {
  const result = JSON.stringify(json) ?? "null";
  return random.chance(0.01) ? result.replace(/\d/, "1e400") : result;
}

/**
 * The same message with one place in it changed in its structure: left out, given twice, of another type, wrapped, far
 * too deep, too long or too many, or with a key beside it that no object should have. JSON text, since some of it
 * cannot be an object.
 */
export function restructured(random: Random, message: unknown): string {
  const places = placesIn(message);
  const place = random.pick(places);
  const change = random.pick(RESTRUCTURINGS);
  return rewrite(message, place, (json) => change(random, json));
}

type Place = readonly (string | number)[];

/** What becomes of a value's JSON text; undefined leaves it out. */
const RESTRUCTURINGS: readonly ((random: Random, json: string) => string | undefined)[] = [
  () => undefined,
  (random) => JSON.stringify(value(random, 2)) ?? "null",
  (_random, json) => `[${json}]`,
  (_random, json) => `{"a":${json}}`,
  (_random, json) => JSON.stringify(json),
  (random) => nested(random.pick([7, 8, 9, 10, 11, 12, 13, 1_000, 5_000])),
  (random) => JSON.stringify("x".repeat(random.pick([64, 65, 128, 129, 200, 201, 500, 501, 2_000, 2_001, 20_000]))),
  (random, json) => `[${Array.from({ length: random.pick([0, 20, 21, 100, 101, 201]) }, () => json).join(",")}]`,
  (random) => wide(random.pick([63, 64, 65, 66, 1_000])),
  (random, json) => beside(json, `${JSON.stringify(random.pick(BAD_KEYS))}:{"a":1}`),
  (_random, json) => beside(json, '"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}'),
  (random) => random.pick(["1e400", "-1e400", "9007199254740993", "0.1e-400", "-0", "1E2", '"\\ud800"', '"\\u0000"']),
  (random) => random.pick(['{"$ne":null}', '{"$gt":""}', '{"$where":"sleep(1000)"}', '{"_bsontype":"ObjectId"}']),
  (random) => random.pick(["undefined", "NaN", "01", "'a'", '{"a":1,}', "[1,]", '{"a":1,"a":2}', "\u2028", ""]),
];

function nested(levels: number): string {
  return `${"[".repeat(levels)}${"]".repeat(levels)}`;
}

function wide(keys: number): string {
  return `{${Array.from({ length: keys }, (_, index) => `"k${index}":${index}`).join(",")}}`;
}

/** One more field in an object; of anything else an object. */
function beside(json: string, field: string): string {
  return json.startsWith("{") && json.length > 2 ? `{${field},${json.slice(1)}` : `{${field}}`;
}

/** Every place in a value, the value itself among them. */
function placesIn(json: unknown, place: Place = []): Place[] {
  if (typeof json !== "object" || json === null) return [place];
  const inside = Array.isArray(json) ? json.map((item, index) => [index, item] as const) : Object.entries(json);
  return [place, ...inside.flatMap(([key, item]) => placesIn(item, [...place, key]))];
}

function rewrite(json: unknown, place: Place, change: (text: string) => string | undefined): string {
  const [first, ...rest] = place;
  if (first === undefined) return change(JSON.stringify(json) ?? "null") ?? "";
  if (Array.isArray(json)) {
    const items = json.map((item, index) => (index === first ? rewrite(item, rest, change) : JSON.stringify(item)));
    return `[${items.filter((item) => item !== "").join(",")}]`;
  }
  const fields = Object.entries(json as object).map(([key, item]) => {
    const text = key === first ? rewrite(item, rest, change) : JSON.stringify(item);
    return text === "" ? "" : `${JSON.stringify(key)}:${text}`;
  });
  return `{${fields.filter((field) => field !== "").join(",")}}`;
}

/** A few characters changed, removed, doubled, or cut off. */
export function mangled(random: Random, text: string): string {
  let result = text;
  for (let count = random.integer(1, 4); count > 0; count--) {
    const at = Math.floor(random.next() * (result.length + 1));
    const [before, after] = [result.slice(0, at), result.slice(at)];
    result = random.pick([
      before + after.slice(1),
      `${before}${random.pick([...'0123456789[]{}",:-/eE\\\u0000\u00e9'])}${after}`,
      before,
      before + after.slice(0, 5) + after,
      `${before}${random.pick(["1e400", "null", "-", "[[", '{"$gt":""}', '"\\ud800"'])}${after.slice(4)}`,
    ]);
  }
  return result;
}

export function bytes(random: Random, atMost: number): Uint8Array {
  return Uint8Array.from({ length: random.integer(0, atMost) }, () => random.integer(0, 255));
}
