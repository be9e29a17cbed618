import { Decoder, type Packet, PacketType } from "socket.io-parser";

/**
 * The default wire format, JSON only. Encoding skips the library's search for binary parts, which walks every frame;
 * decoding takes no binary attachments at all, so that none can be left hanging.
 */
class JsonEncoder {
  encode(packet: Packet): string[] {
    const namespace = packet.nsp === "/" ? "" : `${packet.nsp},`;
    const id = packet.id ?? "";
    const data = packet.data === undefined ? "" : JSON.stringify(packet.data);
    return [`${packet.type}${namespace}${id}${data}`];
  }
}

class JsonDecoder extends Decoder {
  constructor() {
    super({ maxAttachments: 0 });
  }

  override add(data: unknown): void {
    if (typeof data !== "string") throw new Error("binary frames are not part of the protocol");
    const type = data.charCodeAt(0) - 48;
    if (type === PacketType.BINARY_EVENT || type === PacketType.BINARY_ACK) {
      throw new Error("binary packets are not part of the protocol");
    }
    super.add(data);
  }
}

export const jsonParser = { Encoder: JsonEncoder, Decoder: JsonDecoder };
