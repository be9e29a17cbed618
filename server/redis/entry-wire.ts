import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { ID_PATTERN } from "../../shared/ids.ts";
import { BOUNDS } from "../bounds.ts";
import type { Entry, LogChange } from "../domain/records.ts";

/** What hubs say beside entries: "I hear myself", "look whether you missed something", "keys have changed". */
export type Note = "probe" | "behind" | "keys";

/**
 * An entry between hubs, form 1: `[1][tag, 8 bytes][MAC, 16 bytes][the entry as JSON]`. A note is the same without the
 * body; its MAC is over its name.
 *
 * The tag is new for every hub process, so that it knows its own messages. The MAC is made with a secret that lives in
 * the database: what carries it was committed by a hub of this very database, so that nobody who can reach Redis, and
 * no other installation on it, can move a head to where the log is not.
 */
export class EntryWire {
  readonly tag: Buffer = randomBytes(TAG_BYTES);
  readonly #head = Buffer.concat([VERSION, this.tag]);
  readonly #key: Buffer;

  constructor(secret: string) {
    this.#key = createHmac("sha256", secret).update("entries between hubs").digest();
  }

  encode(entry: Entry): Buffer {
    const body = Buffer.from(JSON.stringify(entry));
    return Buffer.concat([this.#head, this.#mac(this.#head, body), body]);
  }

  /** The entry, or undefined for anything that no hub of this database has sent in this form. */
  decode(message: unknown): Entry | undefined {
    if (!Buffer.isBuffer(message) || message.length <= BODY_AT || message[0] !== VERSION[0]) return undefined;
    const body = message.subarray(BODY_AT);
    const mac = this.#mac(message.subarray(0, HEAD_BYTES), body);
    if (!timingSafeEqual(mac, message.subarray(HEAD_BYTES, BODY_AT))) return undefined;
    try {
      const value: unknown = JSON.parse(body.toString());
      return isEntry(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** A note as it goes over the wire. */
  seal(note: Note): Buffer {
    return Buffer.concat([this.#head, this.#mac(this.#head, Buffer.from(note))]);
  }

  /** Whether a hub of this database has sent this note. */
  isSealed(note: Note, message: unknown): boolean {
    if (!Buffer.isBuffer(message) || message.length !== BODY_AT || message[0] !== VERSION[0]) return false;
    const mac = this.#mac(message.subarray(0, HEAD_BYTES), Buffer.from(note));
    return timingSafeEqual(mac, message.subarray(HEAD_BYTES));
  }

  #mac(head: Buffer, body: Buffer): Buffer {
    return createHmac("sha256", this.#key).update(head).update(body).digest().subarray(0, MAC_BYTES);
  }
}

const VERSION = Buffer.from([1]);
const TAG_BYTES = 8;
const MAC_BYTES = 16;
const HEAD_BYTES = VERSION.length + TAG_BYTES;
const BODY_AT = HEAD_BYTES + MAC_BYTES;

/** The other hub may be of another release: shape and numbers have to be what this one can apply. */
function isEntry(value: unknown): value is Entry {
  if (!isObject(value)) return false;
  const { project_id, from_seq, to_seq, epoch, hub_id, at, changes } = value;
  return (
    isId(project_id) &&
    isCount(from_seq) &&
    isCount(to_seq) &&
    typeof epoch === "string" &&
    /^[0-9a-f]{16}$/.test(epoch) &&
    isText(hub_id) &&
    isText(at) &&
    !Number.isNaN(Date.parse(at)) &&
    Array.isArray(changes) &&
    changes.length <= BOUNDS.entryChanges &&
    changes.length === to_seq - from_seq + 1 &&
    changes.every((change, index) => isChange(change, from_seq + index))
  );
}

function isChange(value: unknown, seq: number): value is LogChange {
  if (!isObject(value)) return false;
  const { kind, id, session_id, version, type, actor, patch, state } = value;
  return (
    value.seq === seq &&
    // A kind of a later release moves the head and nothing else ([X4]).
    isText(kind) &&
    isId(id) &&
    isId(session_id) &&
    isCount(version) &&
    isText(type) &&
    isObject(actor) &&
    isText(actor.kind) &&
    isText(actor.id) &&
    (isObject(patch) || isObject(state))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isId(value: unknown): value is string {
  return typeof value === "string" && ID_PATTERN.test(value);
}

/** seq, version: from 1 on. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
