import type { Random } from "../../../test/support/random.ts";
import { AGENT_EVENTS, message, type Speaker, VIEWER_EVENTS } from "./odd-messages.ts";
import { bytes, mangled, restructured, value, write } from "./odd-values.ts";

/** What is put on the wire next: a WebSocket frame, or bytes that need not be one. */
export type OddFrame =
  | { readonly data: string | Uint8Array; readonly fin: boolean; readonly isBinary?: boolean }
  | { readonly bytes: Uint8Array };

export type Namespace = "/agents" | "/viewers";

/** Who is at the other end. */
export interface OddClient extends Speaker {
  readonly namespace: Namespace;
  readonly key: string;
}

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
const NAMESPACES = ["/agents", "/viewers", "/agents", "/viewers", "", "/", "/hubs", "/nope", "/agents?x", "/__proto__"];
/** Engine.IO packets: open, close, ping, pong, message, upgrade, noop, nonsense, base64, several in one. */
const ENGINE_PACKETS = ["", "0", "1", "2", "3", "5", "6", "9", "b", "bAQID", "4", "42", "\u001e", "2probe", "3probe"];
ENGINE_PACKETS.push('0{"sid":"x"}', "4\u001e4", "40\u001e40", "-1", "\ufeff42[]");

/** One of these comes out with its weight. */
type Kind = readonly [weight: number, make: (random: Random, client: OddClient) => readonly OddFrame[]];

const KINDS: readonly Kind[] = [
  [800, (random, client) => [text(event(random, client))]],
  [80, (random, client) => [text(restructuredEvent(random, client))]],
  [20, (random, client) => [text(mangled(random, event(random, client)))]],
  [25, (random, client) => burst(random, client)],
  [25, (random, client) => fragments(random, event(random, client))],
  [6, (random) => [text(random.pick(ENGINE_PACKETS))]],
  [6, (random, { namespace, key }) => [text(mangled(random, connect(random.pick([...NAMESPACES, namespace]), key)))]],
  [5, (random) => [text(oddPacket(random))]],
  [5, (random, { namespace }) => attachments(random, namespace)],
  [4, (random) => [{ data: bytes(random, 200), fin: true, isBinary: true }]],
  [4, (random) => [text(`41${random.pick(NAMESPACES)},`)]],
  [3, (random, { namespace }) => [text(deep(random, namespace))]],
  [
    3,
    (random, { namespace }) => [
      text(`42${namespace},["heartbeat",{"sessions":[],"x":"${"y".repeat(random.integer(1, 40_000))}"}]`),
    ],
  ],
  // A text frame that is not UTF-8.
  [2, (random) => [{ data: Buffer.concat([Buffer.from('42/agents,1["'), bytes(random, 20)]), fin: true }]],
  [2, (random) => [{ bytes: brokenFrame(random) }]],
];
const WEIGHTS = KINDS.reduce((sum, [weight]) => sum + weight, 0);

/** What a client of no good sends next. One in twenty does not even say who it is. */
export function nextFrames(random: Random, client: OddClient, turn: number): readonly OddFrame[] {
  if (turn === 0 && random.chance(0.95)) return [text(connect(client.namespace, client.key, random.pick(["a", "b"])))];
  let left = random.next() * WEIGHTS;
  const kind = KINDS.find(([weight]) => {
    left -= weight;
    return left < 0;
  });
  return kind?.[1](random, client) ?? [];
}

function text(data: string): OddFrame {
  return { data, fin: true };
}

function connect(namespace: string, key: string, agent_id?: string): string {
  return `40${namespace},${JSON.stringify({ key, agent_id })}`;
}

function eventName(random: Random, own: Namespace): string {
  if (random.chance(0.03)) return random.pick(ODD_EVENTS);
  return random.pick<string>(own === "/agents" ? AGENT_EVENTS : VIEWER_EVENTS);
}

function head(random: Random, own: Namespace): string {
  const namespace = random.chance(0.995) ? own : random.pick(NAMESPACES);
  return `42${namespace},${random.chance(0.93) ? random.integer(0, 50) : ""}`;
}

function event(random: Random, client: OddClient): string {
  const name = eventName(random, client.namespace);
  const args = random.chance(0.98)
    ? [message(random, name, client)]
    : Array.from({ length: random.integer(0, 3) }, () => value(random, 2));
  const json = [JSON.stringify(name), ...args.map((argument) => write(random, argument))].join(",");
  return `${head(random, client.namespace)}[${json}]`;
}

function restructuredEvent(random: Random, client: OddClient): string {
  const name = eventName(random, client.namespace);
  const json = restructured(random, message(random, name, client));
  return `${head(random, client.namespace)}[${JSON.stringify(name)},${json}]`;
}

function burst(random: Random, client: OddClient): OddFrame[] {
  return Array.from({ length: random.integer(2, 30) }, () => text(event(random, client)));
}

function fragments(random: Random, whole: string): OddFrame[] {
  const frames: OddFrame[] = [];
  // Mostly a few, sometimes a byte each.
  const longest = random.chance(0.1) ? 1 : whole.length / 3;
  for (let start = 0; start < whole.length; ) {
    const end = start + Math.ceil(random.between(0, longest));
    frames.push({ data: whole.slice(start, end), fin: end >= whole.length });
    start = end;
  }
  return frames;
}

function oddPacket(random: Random): string {
  const type = random.pick(["1", "3", "4", "5", "6", "7"]);
  return `4${type}${random.pick(NAMESPACES)},${random.chance(0.5) ? "1" : ""}${write(random, value(random, 3))}`;
}

/** Binary events and acks announce attachments, which come as frames of their own, or do not. */
function attachments(random: Random, own: Namespace): OddFrame[] {
  const announced = random.pick([0, 1, 2, 10, 1_000_000]);
  const packet = `4${random.pick([5, 6])}${announced}-${own},1["session:open",{"_placeholder":true,"num":0}]`;
  const sent = Array.from(
    { length: random.integer(0, 3) },
    (): OddFrame => ({
      ...{ data: bytes(random, 50), fin: true, isBinary: true },
    }),
  );
  return [text(packet), ...sent];
}

function deep(random: Random, own: Namespace): string {
  const levels = random.integer(1, 16_000);
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"a":', "}"],
  ]) as [string, string];
  const json = open.repeat(levels).slice(0, 30_000);
  return `42${own},1["heartbeat",${json}${random.chance(0.5) ? `1${close.repeat(levels).slice(0, 2_000)}]` : ""}`;
}

/** Bytes that break the rules of WebSocket: reserved bits, unknown opcodes, no mask, lies about the length. */
function brokenFrame(random: Random): Uint8Array {
  const first = random.pick([0x01, 0x81, 0xc1, 0xf1, 0x83, 0x87, 0x8b, 0x80, 0x89, 0x09, 0x88]);
  const second = random.pick([0x00, 0x05, 0x85, 0xfe, 0xff, 0x7f, 0x80]);
  return Uint8Array.from([first, second, ...bytes(random, 30)]);
}
