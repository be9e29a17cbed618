import type { Random } from "../../test/support/random.ts";

interface Frame {
  readonly data: string | Uint8Array;
  /** false: further frames belong to the same message. */
  readonly fin: boolean;
}

const IDS = [
  "a",
  "b",
  "c",
  "A",
  "a.b",
  "0",
  "__proto__",
  "constructor",
  "x".repeat(128),
  "x".repeat(129),
  "",
  "a b",
  "é",
];
const STATUSES = [
  "ACTIVE",
  "IDLE",
  "WAITING",
  "PAUSED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "PENDING",
  "IN_PROGRESS",
  "BLOCKED",
];
const KEYS = [
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
  "id",
  "\u0001",
  "é",
  "ключ",
  "a-b",
  "recovery_attempts",
  "valueOf",
];
const BAD_KEYS = ["__proto__", "constructor", "prototype", "$set", "$", "a.b", ".", "\0", "_bsontype"];
const STRINGS = [
  "",
  "a",
  "\0",
  "\n",
  "\u001b[31m",
  "\u202e",
  "\ufeff",
  "\u{1f600}",
  "e\u0301",
  "\ud800",
  "$where",
  "null",
  "1",
  "2026-11-22T06:00:00.000Z",
];
const NUMBERS = [0, -0, 1, -1, 0.1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e300, 5e-324, 1e21];
const EVENTS = [
  "session:open",
  "changes:publish",
  "session:close",
  "heartbeat",
  "project:join",
  "project:leave",
  "project:snapshot",
];
const ODD_EVENTS = [
  "",
  "nonsense",
  "error",
  "connect",
  "disconnect",
  "newListener",
  "welcome",
  "__proto__",
  "toString",
];
const NAMESPACES = ["/agents", "/viewers", "/agents", "/viewers", "", "/", "/nope", "/agents?x", "/__proto__"];

/** What a client of no good sends next: mostly well-formed and in order, so that it gets somewhere. */
export function nextFrames(random: Random, key: string, namespace: string, turn: number): Frame[] {
  if (turn === 0 && random.chance(0.95))
    return [text(`40${namespace},${JSON.stringify({ key, agent_id: random.pick(["a", "b"]) })}`)];
  const kind = random.next();
  if (kind < 0.88) return [text(event(random, namespace))];
  if (kind < 0.9) return [text(mutated(random, event(random, namespace)))];
  if (kind < 0.905) return [{ data: bytes(random), fin: true }];
  if (kind < 0.91) return [text(mutated(random, `40${random.pick(NAMESPACES)},${JSON.stringify({ key })}`))];
  if (kind < 0.915)
    return [
      text(
        `4${random.pick(["1", "3", "4", "5", "6", "7"])}${random.pick(NAMESPACES)},${random.chance(0.5) ? "1" : ""}${write(random, value(random, 3))}`,
      ),
    ];
  if (kind < 0.92)
    return [text(random.pick(["", "0", "1", "2", "3", "5", "6", "9", "b", "bAQID", "4", "42", "\u001e"]))];
  if (kind < 0.95) return fragments(random, event(random, namespace));
  if (kind < 0.953) return [text(`42/agents,1["heartbeat",${"[".repeat(Math.floor(random.between(1, 16_000)))}`)];
  if (kind < 0.956)
    return [text(`42/agents,["heartbeat",{"sessions":[],"x":"${"y".repeat(Math.floor(random.between(1, 40_000)))}"}]`)];
  if (kind < 0.96) return [text(`41${random.pick(NAMESPACES)},`)];
  return Array.from({ length: Math.floor(random.between(2, 30)) }, () => text(event(random, namespace)));
}

function text(data: string): Frame {
  return { data, fin: true };
}

function fragments(random: Random, whole: string): Frame[] {
  const frames: Frame[] = [];
  for (let start = 0; start < whole.length; ) {
    const end = start + Math.ceil(random.between(0, whole.length / 3));
    frames.push({ data: whole.slice(start, end), fin: end >= whole.length });
    start = end;
  }
  return frames;
}

function bytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: Math.floor(random.between(0, 200)) }, () => Math.floor(random.next() * 256));
}

/** A few characters changed, removed, doubled, or cut off. */
function mutated(random: Random, frame: string): string {
  let result = frame;
  for (let count = Math.ceil(random.between(0, 4)); count > 0; count--) {
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

function event(random: Random, own: string): string {
  const isAgent = own === "/agents";
  const name = random.chance(0.03)
    ? random.pick(ODD_EVENTS)
    : random.pick(isAgent ? EVENTS.slice(0, 4) : EVENTS.slice(4));
  const namespace = random.chance(0.995) ? own : random.pick(NAMESPACES);
  const id = random.chance(0.93) ? String(Math.floor(random.between(0, 50))) : "";
  const args = random.chance(0.98)
    ? [message(random, name)]
    : Array.from({ length: Math.floor(random.between(0, 4)) }, () => value(random, 2));
  return `42${namespace},${id}[${[JSON.stringify(name), ...args.map((argument) => write(random, argument))].join(",")}]`;
}

function message(random: Random, name: string): unknown {
  const good = random.chance(0.9);
  const id = () => (good ? random.pick(["a", "b", "c"]) : random.pick(IDS));
  const session_id = id();
  const incarnation = Math.floor(random.between(1, good ? 4 : 40));
  const op = Math.floor(random.between(1, 200));
  const maybe = (make: () => object, probability = 0.5) => (random.chance(probability) ? make() : {});
  switch (name) {
    case "session:open":
      return spoilt(random, good, {
        session_id,
        project_id: random.pick(["p", "q"]),
        machine_id: id(),
        ...maybe(() => ({ status: random.pick(STATUSES) }), 0.2),
        ...maybe(() => ({ metadata: metadata(random) })),
        ...maybe(() => ({ takeover: true }), 0.3),
        ...maybe(() => ({ incarnation, token: random.pick(STRINGS) }), 0.1),
        ...maybe(() => ({ parent_session_id: id(), resumed_from: id() }), 0.1),
      });
    case "changes:publish": {
      const changes = Array.from({ length: Math.ceil(random.between(0, random.chance(0.05) ? 110 : 5)) }, (_, index) =>
        index === 0 && random.chance(0.6) ? sessionEdit(random) : taskEdit(random, index),
      );
      return spoilt(random, good, { session_id, incarnation, op, changes });
    }
    case "session:close":
      return spoilt(random, good || random.chance(0.5), {
        session_id,
        incarnation,
        op,
        status: random.pick(STATUSES),
        ...maybe(() => ({ metadata: metadata(random) }), 0.3),
      });
    case "heartbeat":
      return spoilt(random, good, {
        sessions: Array.from({ length: Math.floor(random.between(0, 4)) }, () => ({
          session_id: id(),
          incarnation,
          ...maybe(() => ({ progress: random.pick([0, 0.5, 1, 1.1]), activity: random.pick(STRINGS) })),
          ...maybe(() => ({ metrics: { [random.pick(KEYS)]: random.pick(NUMBERS) } })),
        })),
      });
    case "project:join":
      return spoilt(random, good, {
        project_id: random.pick(["p", "q", "r", id()]),
        ...maybe(
          () => ({
            since: { epoch: random.pick(["", "0123456789abcdef", "x"]), seq: Math.floor(random.between(0, 99)) },
          }),
          0.3,
        ),
        ...maybe(() => ({ heartbeats: true })),
      });
    case "project:snapshot":
      return spoilt(random, good, {
        project_id: random.pick(["p", "q"]),
        cursor: random.pick(["0123456789abcdef.4", "x", "0123456789abcdef.999999999"]),
      });
    default:
      return spoilt(random, good, { project_id: random.pick(["p", "q"]) });
  }
}

function sessionEdit(random: Random): object {
  const status = random.pick([undefined, "ACTIVE", "IDLE", "WAITING", "PAUSED", "WAITING"]);
  return {
    kind: "session",
    ...(status === undefined ? {} : { status }),
    ...(random.chance(0.6) ? { metadata: metadata(random) } : {}),
    ...(status === "WAITING" && random.chance(0.7)
      ? {
          waiting_for: {
            kind: random.pick(["input", "permission", "review"]),
            question: random.pick(STRINGS),
            ...(random.chance(0.5) ? { options: [random.pick(STRINGS)] } : {}),
          },
        }
      : {}),
    ...(random.chance(0.1) ? { expected_version: Math.floor(random.between(0, 20)) } : {}),
  };
}

function taskEdit(random: Random, index: number): object {
  return {
    kind: "task",
    task_id: random.chance(0.9) ? `t${index}` : random.pick(IDS),
    ...(random.chance(0.8) ? { title: random.pick(STRINGS) } : {}),
    ...(random.chance(0.5) ? { status: random.pick(STATUSES.slice(4)) } : {}),
    ...(random.chance(0.3) ? { progress: random.pick([0, 0.5, 1, -0]) } : {}),
    ...(random.chance(0.5) ? { metadata: metadata(random) } : {}),
  };
}

function metadata(random: Random): unknown {
  if (random.chance(0.02)) return value(random, 3);
  const entries = Array.from({ length: Math.floor(random.between(0, 4)) }, () => [random.pick(KEYS), value(random, 3)]);
  return Object.fromEntries(entries);
}

function value(random: Random, depth: number): unknown {
  const kind = random.next();
  if (kind < 0.3 || depth === 0)
    return random.pick<unknown>([...STRINGS.filter((one) => one !== "\ud800"), ...NUMBERS, true, false, null, null]);
  if (kind < 0.35) return random.pick<unknown>([...STRINGS, ...NUMBERS]);
  if (kind < 0.6) return Array.from({ length: Math.floor(random.between(0, 4)) }, () => value(random, depth - 1));
  const keys = random.chance(0.01) ? BAD_KEYS : KEYS;
  const length = Math.floor(random.between(0, random.chance(0.01) ? 80 : 4));
  return Object.fromEntries(Array.from({ length }, () => [random.pick(keys), value(random, depth - 1)]));
}

/** With one field taken away or replaced, unless it shall be good. */
function spoilt(random: Random, good: boolean, fields: object): unknown {
  if (good || random.chance(0.3)) return fields;
  const names = Object.keys(fields);
  const name = random.pick(names);
  return random.chance(0.2)
    ? Object.fromEntries(Object.entries(fields).filter(([one]) => one !== name))
    : { ...fields, [name]: value(random, 3) };
}

function write(random: Random, json: unknown): string {
  const result = JSON.stringify(json) ?? "null";
  return random.chance(0.01) ? result.replace(/\d/, "1e400") : result;
}
