/**
 * Judges a recorded history against what MongoDB holds at the end. Pure: values in, violations out, so that old
 * histories can be judged again and the judge itself can be tested. It shares no code with the hub on purpose: fold and
 * merge patch are written a second time here, and a mistake in the hub's own cannot hide itself.
 */
export type Fields = Readonly<Record<string, unknown>>;

export interface LoggedChange {
  readonly seq: number;
  readonly kind: "session" | "task";
  readonly id: string;
  readonly session_id: string;
  readonly version: number;
  readonly type: string;
  readonly patch?: Fields;
  readonly state?: Fields;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly incarnation?: number;
  readonly op?: number;
}

export interface LogEntry {
  readonly _id: { readonly p: string; readonly s: number };
  readonly to_seq: number;
  readonly epoch: string;
  readonly at: Date | string;
  readonly changes: readonly LoggedChange[];
}

/** One publish (or close) as its agent saw it end. */
export interface PublishRecord {
  readonly project_id: string;
  readonly session_id: string;
  readonly incarnation: number;
  readonly op: number;
  /** Put into the metadata of every change of the publish, and into no other publish. */
  readonly mark: string;
  /** `unknown`: never answered; it may be in the log or not. */
  readonly outcome: "acked" | "refused" | "unknown";
  /** How many changes the publish holds. */
  readonly changes: number;
  /** Of its last change, from the ack. */
  readonly seq?: number;
  /** Where and when (`performance.now()`); not judged here. */
  readonly course?: {
    readonly hub: number;
    readonly attempts: number;
    readonly sent_ms: number;
    readonly settled_ms: number;
  };
  /** From the ack, if it had them. */
  readonly results?: readonly { kind: string; id: string; version: number; seq: number; changed: boolean }[];
}

export type ViewerStep =
  | { readonly type: "snapshot"; readonly epoch: string; readonly seq: number; readonly at_ms?: number }
  | {
      readonly type: "changes";
      /** When it came (`performance.now()`); not judged here. */
      readonly at_ms?: number;
      readonly epoch: string;
      readonly from_seq: number;
      readonly to_seq: number;
      /** Absent in a conflated frame, which stands for its whole range. */
      readonly changes?: readonly Pick<LoggedChange, "seq" | "kind" | "id" | "session_id" | "version">[];
    };

export interface ViewerRecord {
  readonly name: string;
  readonly project_id: string;
  /** The hub that it stays with, if it does. */
  readonly hub?: number;
  readonly steps: readonly ViewerStep[];
  /** What `mode` frames said, and when. */
  readonly modes?: readonly { readonly mode: string; readonly at_ms: number }[];
  /** The entities it holds at the end. */
  readonly mirror: readonly Fields[];
}

export interface History {
  readonly entries: readonly LogEntry[];
  readonly publishes: readonly PublishRecord[];
  /** Collections `sessions` and `tasks` together. */
  readonly documents: readonly Fields[];
  readonly viewers: readonly ViewerRecord[];
}

export const RULES = {
  "log-contiguous": "the log of each project is numbered 1..n without hole, repetition or change of epoch",
  "acked-once": "every acked publish is in the log exactly once, whole, in one entry, as its ack said",
  "refused-absent": "no refused publish is in the log",
  "nothing-else": "every change of an agent in the log was asked for",
  versions: "the versions of each entity are 1..n without hole",
  documents: "sessions and tasks equal the fold of the log",
  "viewer-whole": "every viewer saw every seq as it is in the log, or was told by a snapshot",
  "viewer-level": "every viewer ends at the head with a mirror equal to the fold of the log",
} as const;

export type Rule = keyof typeof RULES;

export interface Violation {
  readonly rule: Rule;
  readonly detail: string;
}

export function checkHistory(history: History): Violation[] {
  const logs = logsByProject(history.entries);
  const folds = new Map([...logs].map(([project, entries]) => [project, fold(entries).entities]));
  return [
    ...[...logs].flatMap(([project, entries]) => checkContiguous(project, entries)),
    ...[...logs].flatMap(([project, entries]) => checkStates(project, entries)),
    ...checkPublishes(history.publishes, history.entries),
    ...[...logs].flatMap(([project, entries]) => checkVersions(project, entries)),
    ...checkDocuments(folds, history.documents),
    ...history.viewers.flatMap((viewer) => checkViewer(viewer, logs.get(viewer.project_id) ?? [])),
    ...history.viewers.flatMap((viewer) => checkMirror(viewer, folds.get(viewer.project_id) ?? new Map())),
  ];
}

function logsByProject(entries: readonly LogEntry[]): Map<string, LogEntry[]> {
  const logs = Map.groupBy(entries, (entry) => entry._id.p);
  for (const log of logs.values()) log.sort((a, b) => a._id.s - b._id.s);
  return logs;
}

function checkContiguous(project: string, entries: readonly LogEntry[]): Violation[] {
  const rule = "log-contiguous";
  const violations: Violation[] = [];
  let next = 1;
  let at = "";
  const epoch = entries[0]?.epoch;
  for (const entry of entries) {
    const where = `${project} entry ${entry._id.s}`;
    if (entry._id.s !== next) violations.push({ rule, detail: `${where}: expected to start at ${next}` });
    if (entry.epoch !== epoch) violations.push({ rule, detail: `${where}: epoch ${entry.epoch}, before it ${epoch}` });
    const wrong = entry.changes.findIndex((change, index) => change.seq !== entry._id.s + index);
    if (wrong >= 0) violations.push({ rule, detail: `${where}: change ${wrong} has seq ${entry.changes[wrong]?.seq}` });
    if (entry.changes.length === 0 || entry.to_seq !== entry._id.s + entry.changes.length - 1)
      violations.push({ rule, detail: `${where}: to_seq ${entry.to_seq} with ${entry.changes.length} changes` });
    const time = isoTime(entry.at);
    if (time < at) violations.push({ rule, detail: `${where}: at ${time}, before it ${at}` });
    at = time;
    next = entry.to_seq + 1;
  }
  return violations;
}

interface Found {
  readonly entry: LogEntry;
  readonly change: LoggedChange;
}

function checkPublishes(publishes: readonly PublishRecord[], entries: readonly LogEntry[]): Violation[] {
  const violations: Violation[] = [];
  const found = new Map<string, Found[]>();
  const marks = new Map<string, Found>();
  for (const entry of entries) {
    for (const change of entry.changes) {
      const mark = markOf(change);
      if (mark !== undefined && change.op !== undefined) marks.set(mark, { entry, change });
      if (change.op === undefined || change.incarnation === undefined) continue;
      const key = opKey(entry._id.p, change.session_id, change.incarnation, change.op);
      found.set(key, [...(found.get(key) ?? []), { entry, change }]);
    }
  }
  const asked = new Set<string>();
  for (const publish of publishes) {
    const key = opKey(publish.project_id, publish.session_id, publish.incarnation, publish.op);
    if (publish.outcome === "refused") {
      const logged = marks.get(publish.mark);
      if (logged) violations.push({ rule: "refused-absent", detail: `${key} (${publish.mark}) at ${seqOf(logged)}` });
      continue;
    }
    asked.add(key);
    const logged = found.get(key) ?? [];
    if (publish.outcome === "acked" || logged.length > 0) violations.push(...checkOnce(key, publish, logged));
  }
  for (const [key, logged] of found) {
    const [first] = logged;
    if (!asked.has(key)) violations.push({ rule: "nothing-else", detail: `${key} at ${first && seqOf(first)}` });
  }
  return violations;
}

function checkOnce(key: string, publish: PublishRecord, logged: readonly Found[]): Violation[] {
  const rule = "acked-once";
  const [first] = logged;
  if (!first) return [{ rule, detail: `${key}: acked, not in the log` }];
  const seqs = logged.map(({ change }) => change.seq);
  if (logged.length > publish.changes || logged.some(({ entry }) => entry !== first.entry))
    return [{ rule, detail: `${key}: ${publish.changes} changes asked for, in the log at ${seqs.join(", ")}` }];
  if (logged.length < publish.changes)
    return [{ rule, detail: `${key}: only ${logged.length} of ${publish.changes} changes in the log` }];
  if (seqs.some((seq, index) => seq !== first.change.seq + index))
    return [{ rule, detail: `${key}: its changes are not adjacent: ${seqs.join(", ")}` }];
  const foreign = logged.find(({ change }) => markOf(change) !== publish.mark);
  if (foreign) return [{ rule, detail: `${key}: at ${foreign.change.seq} stands ${markOf(foreign.change)}` }];
  const untrue = publish.results?.find(
    (result) => !logged.some(({ change }) => change.seq === result.seq && sameChange(change, result)),
  );
  return untrue ? [{ rule, detail: `${key}: the ack said ${JSON.stringify(untrue)}` }] : [];
}

function sameChange(change: LoggedChange, said: { kind: string; id: string; version: number }): boolean {
  return change.kind === said.kind && change.id === said.id && change.version === said.version;
}

function checkVersions(project: string, entries: readonly LogEntry[]): Violation[] {
  const violations: Violation[] = [];
  const versions = new Map<string, number>();
  for (const change of entries.flatMap((entry) => entry.changes)) {
    const key = entityKey(change);
    const expected = (versions.get(key) ?? 0) + 1;
    if (change.version !== expected) {
      const detail = `${project} ${key} at ${change.seq}: version ${change.version}, expected ${expected}`;
      violations.push({ rule: "versions", detail });
    }
    versions.set(key, change.version);
  }
  return violations;
}

interface Folded {
  readonly entity: Fields;
  /** The last change that touched it; for a session also a task's. */
  readonly appliedSeq: number;
}

/** Some changes carry the whole state, some of these a patch too: then both must lead to the same. */
function checkStates(project: string, entries: readonly LogEntry[]): Violation[] {
  return fold(entries).differences.map((detail) => ({ rule: "documents", detail: `${project} ${detail}` }));
}

/** Entities as the log tells them. */
function fold(entries: readonly LogEntry[]): { entities: Map<string, Folded>; differences: string[] } {
  const entities = new Map<string, Folded>();
  const differences: string[] = [];
  for (const entry of entries) {
    for (const change of entry.changes) {
      const key = entityKey(change);
      const before = entities.get(key)?.entity;
      const entity = applyLogged(before, change, isoTime(entry.at));
      if (entity) entities.set(key, { entity, appliedSeq: change.seq });
      else differences.push(`${key} at ${change.seq}: a patch for what is not there`);
      if (entity && (entity.version !== change.version || entity.seq !== change.seq))
        differences.push(`${key} at ${change.seq}: its state is of another change`);
      if (entity && before && change.patch && change.state) {
        const byPatch = applyLogged(before, { ...change, state: undefined }, isoTime(entry.at));
        const difference = differenceBetween(byPatch ?? {}, entity);
        if (difference) differences.push(`${key} at ${change.seq}: state against patch: ${difference}`);
      }
      const sessionKey = entityKey({ kind: "session", id: change.session_id, session_id: change.session_id });
      const session = entities.get(sessionKey);
      if (session) entities.set(sessionKey, { ...session, appliedSeq: change.seq });
    }
  }
  return { entities, differences };
}

/** The protocol's rule for a receiver of changes; undefined when there is nothing to patch. */
export function applyLogged(
  before: Fields | undefined,
  change: { seq: number; version: number; patch?: Fields | undefined; state?: Fields | undefined },
  at: string,
): Fields | undefined {
  if (change.state) return normal(change.state) as Fields;
  if (!before || !change.patch) return undefined;
  const entity = patched(before, normal(change.patch));
  return { ...entity, version: change.version, seq: change.seq, updated_at: at };
}

function patched(target: unknown, patch: unknown): Fields {
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch as Fields)) {
    if (value === null) delete result[key];
    else result[key] = isObject(value) ? patched(result[key], value) : value;
  }
  return result;
}

/** Kept beside the entity in its document, or volatile, and in neither log nor frames. */
const NOT_LOGGED = new Set([
  ...["_id", "applied_seq", "last_op", "last_op_seq", "edit_version"],
  ...["last_heartbeat_at", "last_activity_at", "heartbeat", "display"],
]);

function checkDocuments(folds: ReadonlyMap<string, Map<string, Folded>>, documents: readonly Fields[]): Violation[] {
  const rule = "documents";
  const violations: Violation[] = [];
  const stored = new Map(documents.map((document) => [String(document._id), document]));
  for (const [project, entities] of folds) {
    for (const [key, { entity, appliedSeq }] of entities) {
      const id = documentId(project, entity);
      const document = stored.get(id);
      stored.delete(id);
      const difference = document === undefined ? "missing" : differenceBetween(entity, document);
      if (difference) violations.push({ rule, detail: `${id}: ${difference}` });
      else if (document && document.applied_seq !== appliedSeq)
        violations.push({ rule, detail: `${key}: applied_seq ${document.applied_seq}, expected ${appliedSeq}` });
    }
  }
  for (const id of stored.keys()) violations.push({ rule, detail: `${id}: in no log` });
  return violations;
}

function documentId(project: string, entity: Fields): string {
  const parts = [project, entity.session_id, ...(entity.task_id === undefined ? [] : [entity.task_id])];
  return parts.join("/");
}

function differenceBetween(expected: Fields, actual: Fields): string | undefined {
  const names = new Set([...Object.keys(expected), ...Object.keys(actual)].filter((name) => !NOT_LOGGED.has(name)));
  for (const name of names) {
    const [should, is] = [canonical(expected[name]), canonical(actual[name])];
    if (should !== is) return `${name} is ${is}, expected ${should}`;
  }
  return undefined;
}

function checkViewer(viewer: ViewerRecord, entries: readonly LogEntry[]): Violation[] {
  const rule = "viewer-whole";
  const violations: Violation[] = [];
  const changes = new Map(entries.flatMap((entry) => entry.changes).map((change) => [change.seq, change]));
  const epoch = entries[0]?.epoch ?? "";
  let position = 0;
  for (const step of viewer.steps) {
    // A project without changes has no epoch yet, and tells so.
    if (step.epoch !== epoch && !(step.type === "snapshot" && step.seq === 0))
      violations.push({ rule, detail: `${viewer.name}: epoch ${step.epoch}, in the log ${epoch}` });
    if (step.type === "snapshot") {
      if (!changes.has(step.seq) && step.seq !== 0)
        violations.push({ rule, detail: `${viewer.name}: snapshot at ${step.seq}, which is not in the log` });
      position = step.seq;
      continue;
    }
    if (step.from_seq !== position + 1)
      violations.push({ rule, detail: `${viewer.name}: stood at ${position}, got ${step.from_seq} to ${step.to_seq}` });
    const seqs = step.changes?.map((change) => change.seq) ?? [];
    if (step.changes && (seqs.length !== step.to_seq - step.from_seq + 1 || seqs[0] !== step.from_seq))
      violations.push({
        rule,
        detail: `${viewer.name}: frame ${step.from_seq} to ${step.to_seq} held ${seqs.join(",")}`,
      });
    for (const seen of step.changes ?? []) {
      const logged = changes.get(seen.seq);
      if (!logged || logged.session_id !== seen.session_id || !sameChange(logged, seen))
        violations.push({ rule, detail: `${viewer.name}: saw ${JSON.stringify(seen)}, which is not in the log` });
    }
    position = step.to_seq;
  }
  const head = entries.at(-1)?.to_seq ?? 0;
  if (position !== head)
    violations.push({ rule: "viewer-level", detail: `${viewer.name}: ends at ${position}, the head is ${head}` });
  return violations;
}

function checkMirror(viewer: ViewerRecord, folded: ReadonlyMap<string, Folded>): Violation[] {
  const rule = "viewer-level";
  const violations: Violation[] = [];
  const held = new Map(viewer.mirror.map((entity) => [documentId(viewer.project_id, entity), entity]));
  for (const { entity } of folded.values()) {
    const id = documentId(viewer.project_id, entity);
    const mine = held.get(id);
    held.delete(id);
    const difference = mine === undefined ? "missing" : differenceBetween(entity, mine);
    if (difference) violations.push({ rule, detail: `${viewer.name} holds ${id}: ${difference}` });
  }
  for (const id of held.keys()) violations.push({ rule, detail: `${viewer.name} holds ${id}, which is in no log` });
  return violations;
}

function opKey(project: string, session: string, incarnation: number, op: number): string {
  return `${project}/${session} incarnation ${incarnation} op ${op}`;
}

function entityKey({ kind, id, session_id }: Pick<LoggedChange, "kind" | "id" | "session_id">): string {
  return kind === "session" ? `session ${session_id}` : `task ${session_id}/${id}`;
}

function seqOf({ entry, change }: Found): string {
  return `${entry._id.p} ${change.seq}`;
}

function markOf({ patch, state }: LoggedChange): string | undefined {
  const metadata = patch?.metadata ?? state?.metadata;
  const mark = isObject(metadata) ? metadata.mark : undefined;
  return typeof mark === "string" ? mark : undefined;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function isoTime(at: Date | string): string {
  return at instanceof Date ? at.toISOString() : at;
}

/** Dates as the wire shows them, everything else as it is. */
function normal(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(normal);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]));
}

/** JSON with sorted keys: equal values, equal text. */
function canonical(value: unknown): string {
  return JSON.stringify(normal(value), (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
