import { mongo } from "mongoose";
import type { LogChange } from "../domain/records.ts";
import type { EntrySteps, Step } from "../ports.ts";
import type { EntryDocument } from "./codec.ts";

/** Bytes of a value by its BSON type; a string's, object's or array's own length stands first. */
const BYTES: Readonly<Record<number, number>> = { 1: 8, 8: 1, 9: 8, 10: 0, 16: 4, 18: 8 };
const STRING = 2;
const DOCUMENT = 3;
const ARRAY = 4;
const DOUBLE = 1;
const INT = 16;

/** Who did it makes no difference to what was. */
const ANYBODY = { kind: "hub", id: "" } as const;

/** An entry whose changes are left as the bytes that MongoDB sent. */
export type RawEntryDocument = Omit<EntryDocument, "changes"> & { readonly changes: readonly Buffer[] };

export function decodeSteps({ _id, to_seq, at, changes }: RawEntryDocument): EntrySteps {
  const time = at.toISOString();
  const bytes = changes.reduce((sum, { length }) => sum + length, 0);
  return { from_seq: _id.s, to_seq, at: time, steps: changes.map((change) => new RawStep(change, time)), bytes };
}

/** A change as its bytes: of most values no more than their length is read, a fifth of what it costs to decode them. */
class RawStep implements Step {
  readonly at: string;
  session_id = "";
  kind: Step["kind"] = "session";
  type: Step["type"] = "updated";
  isWhole = false;
  seq = 0;
  #id = "";
  #version = 0;
  readonly #bytes: Buffer;
  /** Where the state begins, if there is one, else the patch. */
  #content = 0;

  constructor(bytes: Buffer, at: string) {
    this.at = at;
    this.#bytes = bytes;
    for (let start = 4; start < bytes.length - 1; ) {
      const type = bytes[start];
      let value = start + 1;
      while (bytes[value]) value += 1;
      value += 1;
      const end = value + sizeOf(bytes, type, value);
      this.#take(text(bytes, start + 1, value - 1), type, value, end);
      start = end;
    }
  }

  #take(name: string, type: number | undefined, value: number, end: number): void {
    const bytes = this.#bytes;
    switch (name) {
      case "seq":
        this.seq = numberAt(bytes, type, value);
        break;
      case "version":
        this.#version = numberAt(bytes, type, value);
        break;
      case "id":
        this.#id = text(bytes, value + 4, end - 1);
        break;
      case "session_id":
        this.session_id = text(bytes, value + 4, end - 1);
        break;
      case "kind":
        this.kind = text(bytes, value + 4, end - 1) as Step["kind"];
        break;
      case "type":
        this.type = text(bytes, value + 4, end - 1) as Step["type"];
        break;
      case "state":
        this.isWhole = true;
        this.#content = value;
        break;
      case "patch":
        if (!this.isWhole) this.#content = value;
        break;
    }
  }

  decode(): LogChange {
    const { seq, kind, session_id, type } = this;
    const change = { seq, kind, id: this.#id, session_id, version: this.#version, type, actor: ANYBODY };
    if (this.#content === 0) return change;
    const length = this.#bytes.readInt32LE(this.#content);
    const content = mongo.BSON.deserialize(this.#bytes.subarray(this.#content, this.#content + length));
    return (this.isWhole ? { ...change, state: content } : { ...change, patch: content }) as LogChange;
  }
}

function sizeOf(bytes: Buffer, type: number | undefined, at: number): number {
  if (type === STRING) return bytes.readInt32LE(at) + 4;
  if (type === DOCUMENT || type === ARRAY) return bytes.readInt32LE(at);
  const size = BYTES[type ?? 0];
  if (size === undefined) throw new Error(`BSON type ${type} in a logged change`);
  return size;
}

function numberAt(bytes: Buffer, type: number | undefined, at: number): number {
  if (type === INT) return bytes.readInt32LE(at);
  return type === DOUBLE ? bytes.readDoubleLE(at) : Number(bytes.readBigInt64LE(at));
}

/** Names and ids are ASCII. */
function text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("latin1", start, end);
}
