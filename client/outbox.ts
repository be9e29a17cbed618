import type { FinalStatus } from "../shared/entities.ts";
import { isFinal } from "../shared/entities.ts";
import { inspectJson, type JsonObject, jsonBytes } from "../shared/json.ts";
import { DEFAULT_LIMITS } from "../shared/limits.ts";
import type { Edit, Published } from "../shared/messages/changes-publish.ts";
import type { StateHubError } from "./errors.ts";
import { entityOf, mergeEdits } from "./merge-edits.ts";
import type { OutboxBudget } from "./outbox-budget.ts";

export type EntryContent =
  | { readonly kind: "publish"; readonly edits: readonly Edit[] }
  | { readonly kind: "close"; readonly status: FinalStatus; readonly metadata?: JsonObject };

/** How an entry may be treated while it waits. */
export interface EntryKind {
  /** Never shares a publish with a neighbour: asked for by the caller, or a shared one was refused. */
  readonly alone: boolean;
  /** Later values of the same entities may take its place. */
  readonly latest: boolean;
}

/** One call of `publish()` or `close()`, or several of which only the latest values count, waiting for the hub's word. */
export class Entry {
  /** Grows in the order of the calls. */
  readonly id: number;
  readonly latest: boolean;
  content: EntryContent;
  /** Of its JSON, so that the outbox is bounded by memory and a publish by the frame limit. */
  bytes: number;
  alone: boolean;
  readonly #settled: (outcome: Published | StateHubError) => void;

  constructor(
    id: number,
    content: EntryContent,
    kind: EntryKind,
    /** Called once, with the hub's answer or the reason why there is none. */
    settled: (outcome: Published | StateHubError) => void,
  ) {
    this.id = id;
    this.content = content;
    this.bytes = jsonBytes(content);
    this.alone = kind.alone;
    this.latest = kind.latest;
    this.#settled = settled;
  }

  settle(outcome: Published | StateHubError): void {
    this.#settled(outcome);
  }
}

/** What goes to the hub in one message, and for whom. */
export interface Batch {
  readonly content: EntryContent;
  readonly entries: readonly Entry[];
}

interface BatchBounds {
  readonly maxChanges: number;
  readonly maxBytes: number;
}

/**
 * One session's publishes in the order of the calls; hands out as much at once as keeps its meaning. Takes room from the
 * agent's budget for every entry until that entry is settled, also while it is under way.
 */
export class Outbox {
  readonly #budget: OutboxBudget;
  #entries: Entry[] = [];
  /** The waiting entry that touched an entity last. */
  #lastTouch = new Map<string, Entry>();
  /** Nothing that waits up to here may be overwritten. */
  #barrierId = 0;

  constructor(budget: OutboxBudget) {
    this.#budget = budget;
  }

  /** Waiting, not counting what is under way. */
  get count(): number {
    return this.#entries.length;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#budget.take(entry.bytes);
    if (isBarrier(entry)) this.#barrierId = entry.id;
    for (const entity of entitiesOf(entry.content)) this.#lastTouch.set(entity, entry);
  }

  /**
   * A waiting entry and what it would say with these later values in the place of its own, or undefined where that would
   * pass over something that has to stay: an entry alone, one with an expectation, an end, a step of a task. Its publish
   * then keeps its place in the queue.
   */
  overwritable(
    content: EntryContent,
    bounds: BatchBounds,
  ): { readonly entry: Entry; readonly content: EntryContent; readonly bytes: number } | undefined {
    if (content.kind === "close" || isEnd(content) || content.edits.some(hasExpectation)) return undefined;
    const touched = new Set(content.edits.flatMap((edit) => this.#lastTouch.get(entityOf(edit)) ?? []));
    const [entry, ...others] = touched;
    if (entry === undefined || others.length > 0) return undefined;
    if (!entry.latest || entry.alone || entry.id <= this.#barrierId || entry.content.kind === "close") return undefined;
    const edits = foldEdits(entry.content.edits, content.edits);
    if (edits === undefined || edits.length > bounds.maxChanges) return undefined;
    // Merged metadata may have more keys than the hub takes in one message.
    if ("error" in inspectJson(edits, MESSAGE_BOUNDS)) return undefined;
    const folded: EntryContent = { kind: "publish", edits };
    const bytes = jsonBytes(folded);
    return bytes <= bounds.maxBytes ? { entry, content: folded, bytes } : undefined;
  }

  overwrite(entry: Entry, content: EntryContent): void {
    const bytes = jsonBytes(content);
    this.#budget.resize(bytes - entry.bytes);
    entry.content = content;
    entry.bytes = bytes;
    for (const entity of entitiesOf(content)) this.#lastTouch.set(entity, entry);
  }

  /** Taken by an earlier process, and still under way. */
  readmit(entries: readonly Entry[]): void {
    for (const entry of entries) this.#budget.take(entry.bytes);
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
    for (const entry of merged.entries) this.#forgetTouches(entry);
    return { content: merged.content(), entries: merged.entries };
  }

  /** A refused batch comes back to the front; its entries are sent one by one from then on, so each gets its own answer. */
  putBackAlone(batch: Batch): void {
    for (const entry of batch.entries) entry.alone = true;
    this.#entries.unshift(...batch.entries);
  }

  /** The hub's word, or the reason why there will be none, to entries that were taken. */
  settle(entries: readonly Entry[], outcomeOf: (entry: Entry) => Published | StateHubError): void {
    for (const entry of entries) {
      this.#budget.give(entry.bytes);
      entry.settle(outcomeOf(entry));
    }
  }

  takeAll(): Entry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#lastTouch = new Map();
    return entries;
  }

  #forgetTouches(entry: Entry): void {
    for (const entity of entitiesOf(entry.content)) {
      if (this.#lastTouch.get(entity) === entry) this.#lastTouch.delete(entity);
    }
  }
}

const MESSAGE_BOUNDS = { depth: DEFAULT_LIMITS.depth + 3, keysPerObject: DEFAULT_LIMITS.keys_per_object };

/** Each entity once, in the order of first touch; undefined when the values do not merge. */
function foldEdits(before: readonly Edit[], later: readonly Edit[]): Edit[] | undefined {
  const edits = new Map(before.map((edit) => [entityOf(edit), edit]));
  for (const edit of later) {
    const earlier = edits.get(entityOf(edit));
    const after = earlier === undefined ? edit : mergeEdits(earlier, edit);
    if (after === undefined) return undefined;
    edits.set(entityOf(edit), after);
  }
  return [...edits.values()];
}

function entitiesOf(content: EntryContent): string[] {
  return content.kind === "close" ? ["session"] : content.edits.map(entityOf);
}

function isBarrier(entry: Entry): boolean {
  return (
    entry.alone ||
    isEnd(entry.content) ||
    (entry.content.kind === "publish" && entry.content.edits.some(hasExpectation))
  );
}

function hasExpectation(edit: Edit): boolean {
  return edit.expected_version !== undefined;
}

/** A publish with a final status ends the session just as a close does. */
export function isEnd(content: EntryContent): boolean {
  if (content.kind === "close") return true;
  return content.edits.some((edit) => edit.kind === "session" && edit.status !== undefined && isFinal(edit.status));
}

/** A growing publish. */
class Merged {
  readonly entries: Entry[];
  readonly #only: EntryContent;
  #edits: readonly Edit[];
  /** Never less than what the merged edits take. */
  #bytes: number;

  constructor(first: Entry) {
    this.entries = [first];
    this.#only = first.content;
    this.#bytes = first.bytes;
    this.#edits = first.content.kind === "publish" ? first.content.edits : [];
  }

  content(): EntryContent {
    return this.entries.length === 1 ? this.#only : { kind: "publish", edits: this.#edits };
  }

  tryAdd(entry: Entry, bounds: BatchBounds): boolean {
    if (entry.content.kind !== "publish" || this.#only.kind !== "publish") return false;
    // Whatever comes after the end would be refused, and must not slip in with it.
    if (isEnd({ kind: "publish", edits: this.#edits }) || this.#bytes + entry.bytes > bounds.maxBytes) return false;
    const edits = foldEdits(this.#edits, entry.content.edits);
    if (edits === undefined || edits.length > bounds.maxChanges) return false;
    this.#edits = edits;
    this.#bytes += entry.bytes;
    this.entries.push(entry);
    return true;
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
