/**
 * The default wire format of Socket.IO 5, JSON packets only: `<type>[/namespace,][ack id][JSON]`. The library's parser
 * searches every outgoing frame for binary parts, and takes binary attachments that this protocol does not have; its
 * decoder reads the frame character by character. Together that was about 8 % of a hub's CPU under load.
 */

const CONNECT = 0;
const EVENT = 2;
const ACK = 3;

interface Packet {
  readonly type: number;
  readonly nsp: string;
  readonly id?: number;
  readonly data?: unknown;
}

/** Names that Socket.IO emits itself; from a client they would be taken for its own. */
const RESERVED_EVENTS: ReadonlySet<unknown> = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

class JsonEncoder {
  encode(packet: Packet): string[] {
    const namespace = packet.nsp === "/" ? "" : `${packet.nsp},`;
    const id = packet.id ?? "";
    const data = packet.data === undefined ? "" : JSON.stringify(packet.data);
    return [`${packet.type}${namespace}${id}${data}`];
  }
}

/** What Socket.IO wants of a decoder: it listens for `decoded`, and a throw from `add` closes the connection. */
class JsonDecoder {
  #listener: ((packet: Packet) => void) | undefined;

  on(_event: "decoded", listener: (packet: Packet) => void): void {
    this.#listener = listener;
  }

  removeListener(): void {
    this.#listener = undefined;
  }

  destroy(): void {
    this.#listener = undefined;
  }

  add(frame: unknown): void {
    if (typeof frame !== "string") throw new Error("binary frames are not part of the protocol");
    this.#listener?.(decode(frame));
  }
}

/** Sticky, so that each part is read where the one before it ended. The id is bounded: it must stay an exact number. */
const HEAD = /([0-3])(?:(\/[^,]*)(?:,|$))?(\d{1,15})?/y;

function decode(frame: string): Packet {
  HEAD.lastIndex = 0;
  const head = HEAD.exec(frame);
  if (head === null) throw new Error("not a packet");
  const type = Number(head[1]);
  const nsp = head[2] ?? "/";
  const json = frame.slice(HEAD.lastIndex);
  const data: unknown = json === "" ? undefined : JSON.parse(json);
  // A packet without content is well-formed; what it asks for is the dispatcher's to refuse.
  if (data !== undefined && !isPayload(type, data)) throw new Error("not the payload of its packet");
  return {
    type,
    nsp,
    ...(head[3] === undefined ? {} : { id: Number(head[3]) }),
    ...(data === undefined ? {} : { data }),
  };
}

function isPayload(type: number, data: unknown): boolean {
  switch (type) {
    case CONNECT:
      return typeof data === "object" && data !== null && !Array.isArray(data);
    case EVENT:
      return Array.isArray(data) && isEventName(data[0]);
    case ACK:
      return Array.isArray(data);
    default:
      // DISCONNECT has no content, and CONNECT_ERROR is the server's to send.
      return false;
  }
}

/** A number is allowed by Socket.IO; here it is an unknown event like any other. */
function isEventName(name: unknown): boolean {
  return typeof name === "number" || (typeof name === "string" && !RESERVED_EVENTS.has(name));
}

export const jsonParser = { Encoder: JsonEncoder, Decoder: JsonDecoder };
