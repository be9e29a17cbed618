import type { FinalStatus } from "../shared/entities.ts";
import { isFinal } from "../shared/entities.ts";
import type { JsonObject } from "../shared/json.ts";
import type { Edit, Published } from "../shared/messages/changes-publish.ts";
import type { StateHubError } from "./errors.ts";
import { entityOf, mergeEdits } from "./merge-edits.ts";

/** One call of `publish()` or `close()`, waiting for the hub's word. */
export interface Entry {
  readonly content: EntryContent;
  /** Of its JSON, so that the outbox is bounded by memory and a publish by the frame limit. */
  readonly bytes: number;
  /** Never shares a publish with a neighbour: asked for by the caller, or a shared one was refused. */
  alone: boolean;
  readonly settle: (outcome: Published | StateHubError) => void;
}

export type EntryContent =
  | { readonly kind: "publish"; readonly edits: readonly Edit[] }
  | { readonly kind: "close"; readonly status: FinalStatus; readonly metadata: JsonObject | undefined };

/** What goes to the hub in one message, and for whom. */
export interface Batch {
  readonly content: EntryContent;
  readonly entries: readonly Entry[];
}

interface OutboxBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

interface BatchBounds {
  readonly maxChanges: number;
  readonly maxBytes: number;
}

/** Bounded queue in the order of the calls; hands out as much at once as keeps its meaning. */
export class Outbox {
  readonly #bounds: OutboxBounds;
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(bounds: OutboxBounds) {
    this.#bounds = bounds;
  }

  get count(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.#entries.length < this.#bounds.maxEntries && this.#bytes + bytes <= this.#bounds.maxBytes;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  /** A refused batch comes back to the front; its entries are sent one by one from then on, so each gets its own answer. */
  putBackAlone(batch: Batch): void {
    for (const entry of batch.entries) entry.alone = true;
    this.#entries.unshift(...batch.entries);
    this.#bytes += sumBytes(batch.entries);
  }

  takeAll(): Entry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    return entries;
  }

  take(bounds: BatchBounds): Batch | undefined {
    const [first, ...rest] = this.#entries;
    if (first === undefined) return undefined;
    const merged = new Merged(first);
    if (!first.alone) {
      for (const entry of rest) {
        if (entry.alone || !merged.tryAdd(entry, bounds)) break;
      }
    }
    this.#entries.splice(0, merged.entries.length);
    this.#bytes -= sumBytes(merged.entries);
    return { content: merged.content(), entries: merged.entries };
  }
}

function sumBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.bytes, 0);
}

/** A growing publish. */
class Merged {
  readonly entries: Entry[];
  readonly #only: EntryContent;
  /** In the order in which the entities were first touched. */
  #edits = new Map<string, Edit>();
  /** Never less than what the merged edits take. */
  #bytes: number;

  constructor(first: Entry) {
    this.entries = [first];
    this.#only = first.content;
    this.#bytes = first.bytes;
    if (first.content.kind === "publish") {
      for (const edit of first.content.edits) this.#edits.set(entityOf(edit), edit);
    }
  }

  content(): EntryContent {
    return this.entries.length === 1 ? this.#only : { kind: "publish", edits: [...this.#edits.values()] };
  }

  tryAdd(entry: Entry, bounds: BatchBounds): boolean {
    if (this.#only.kind !== "publish" || entry.content.kind !== "publish") return false;
    if (this.#endsSession() || this.#bytes + entry.bytes > bounds.maxBytes) return false;
    const edits = new Map(this.#edits);
    for (const edit of entry.content.edits) {
      const before = edits.get(entityOf(edit));
      const after = before === undefined ? edit : mergeEdits(before, edit);
      if (after === undefined) return false;
      edits.set(entityOf(edit), after);
    }
    if (edits.size > bounds.maxChanges) return false;
    this.#edits = edits;
    this.#bytes += entry.bytes;
    this.entries.push(entry);
    return true;
  }

  /** Whatever comes after the end would be refused, and must not slip in with it. */
  #endsSession(): boolean {
    const session = this.#edits.get("session");
    return session?.kind === "session" && session.status !== undefined && isFinal(session.status);
  }
}

/** Of the answer to a batch, what concerns one of its entries. */
export function answerFor(entry: Entry, published: Published, sessionId: string): Published {
  // A retry whose answer the hub has trimmed comes without results.
  const results = published.results ?? [];
  const { content } = entry;
  if (content.kind === "close") return { ...published, results };
  const mine = new Set(
    content.edits.map((edit) => (edit.kind === "session" ? `session/${sessionId}` : `task/${edit.task_id}`)),
  );
  return { ...published, results: results.filter((result) => mine.has(`${result.kind}/${result.id}`)) };
}
