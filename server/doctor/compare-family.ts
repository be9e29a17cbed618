import { isDeepStrictEqual } from "node:util";
import { foldChange } from "../domain/fold.ts";
import { Family, type LogChange, type SessionRecord, type TaskRecord } from "../domain/records.ts";

/** A change of a session or of one of its tasks. */
export interface DatedChange {
  readonly change: LogChange;
  readonly at: string;
}

/** All that is told of a session and its tasks, read in this order. */
export interface FamilyEvidence {
  /** Of the project: documents hold every change up to here. */
  readonly projectedSeq: number;
  readonly documents: Family;
  /** The newest ones that the log has, oldest first. */
  readonly changes: readonly DatedChange[];
  /** They are all that the log has: what was before stands in the base. */
  readonly isWhole: boolean;
  readonly base: Family;
}

export interface Comparison {
  /** What base and log lack: making documents anew from them would lose it for good. */
  readonly gaps: readonly string[];
  /** In which ways documents are not what base and log make of them. */
  readonly differences: readonly string[];
}

type AnyRecord = SessionRecord | TaskRecord;

/** Stands for the session among the ids of its tasks. */
const SESSION = "";

/**
 * Each document is compared with the fold of the log up to the very change that it names as its last one, so it does not
 * matter what is committed meanwhile. Findings name fields, never their content.
 */
export function compareFamily(evidence: FamilyEvidence): Comparison {
  const { projectedSeq, documents, changes, isWhole, base } = sinceRemoval(evidence);
  const folded = isWhole ? copyOf(base) : new Family();
  const gaps: string[] = [];
  const differences: string[] = [];
  const compared = new Set<string>();
  /** Seqs of the changes that touched an entity; a session is touched by those of its tasks. */
  const touched = new Map<string, number[]>();
  const compare = (id: string) => {
    const [document, record] = [recordOf(documents, id), recordOf(folded, id)];
    if (document === undefined || document.appliedSeq !== record?.appliedSeq || compared.has(id)) return;
    compared.add(id);
    const fields = differingFields(document, record, isWhole);
    if (fields.length > 0) differences.push(`${named(id)} is not what the log says: ${fields.join(", ")}`);
  };
  for (const id of idsOf(folded)) compare(id);
  for (const { change, at } of changes) {
    const id = change.kind === "session" ? SESSION : change.id;
    const gap = gapBefore(change, recordOf(folded, id), isWhole);
    if (gap !== undefined) gaps.push(`change ${change.seq} of ${named(id)} ${gap}`);
    foldChange(folded, change, at);
    const tasks = change.type === "removed" ? documents.tasks.keys() : [id];
    for (const one of new Set([SESSION, ...tasks])) {
      const seqs = touched.get(one) ?? [];
      seqs.push(change.seq);
      touched.set(one, seqs);
      compare(one);
    }
  }
  for (const id of new Set([...idsOf(documents), ...idsOf(folded)])) {
    const [document, record] = [recordOf(documents, id), recordOf(folded, id)];
    const seqs = touched.get(id) ?? [];
    if (document === undefined) {
      if (record !== undefined && record.appliedSeq <= projectedSeq) differences.push(`${named(id)} has no document`);
      continue;
    }
    const { appliedSeq } = document;
    const due = [...(isWhole ? [recordOf(base, id)?.appliedSeq ?? 0] : []), ...seqs];
    const missed = due.find((seq) => seq > appliedSeq && seq <= projectedSeq);
    if (missed !== undefined) {
      differences.push(`${named(id)} lacks change ${missed}, its document ends at ${appliedSeq}`);
    } else if (!compared.has(id)) {
      gaps.push(...unknownToLog(id, document, seqs, isWhole));
      differences.push(...unlikeLog(id, document, seqs, changes));
    }
  }
  return { gaps, differences };
}

/** What was before a session was forgotten is being taken out of log and base, and says nothing any more. */
function sinceRemoval(evidence: FamilyEvidence): FamilyEvidence {
  const removed = evidence.changes.findLastIndex(({ change }) => change.type === "removed");
  if (removed === -1) return evidence;
  return { ...evidence, changes: evidence.changes.slice(removed), isWhole: true, base: new Family() };
}

/** Of a document that could not be compared: what it says of itself is newer than the log, or stands nowhere. */
function unknownToLog(id: string, { appliedSeq }: AnyRecord, seqs: readonly number[], isWhole: boolean): string[] {
  const last = seqs.at(-1);
  if (last === undefined) return isWhole ? [`${named(id)} is neither in the log nor in the base`] : [];
  return appliedSeq > last ? [`${named(id)} holds change ${appliedSeq}, which the log does not have`] : [];
}

/** Likewise, where the changes that were read have no whole state to begin with: its version alone. */
function unlikeLog(
  id: string,
  { appliedSeq, entity }: AnyRecord,
  seqs: readonly number[],
  changes: readonly DatedChange[],
): string[] {
  const [first = 0, last = 0] = [seqs[0], seqs.at(-1)];
  if (appliedSeq < first || appliedSeq > last) return [];
  if (!seqs.includes(appliedSeq)) return [`${named(id)} names change ${appliedSeq}, which is not one of its own`];
  const isOwn = ({ kind, id: changed }: LogChange) => (kind === "session" ? SESSION : changed) === id;
  const own = changes.findLast(({ change }) => change.seq <= appliedSeq && isOwn(change))?.change;
  if (own === undefined || (own.version === entity.version && own.seq === entity.seq)) return [];
  return [`${named(id)} is at version ${entity.version}, the log at ${own.version}`];
}

/** Why a change cannot follow what is known before it. */
function gapBefore(change: LogChange, before: AnyRecord | undefined, isWhole: boolean): string | undefined {
  if (change.patch === undefined || change.type === "removed") return undefined;
  if (before === undefined) {
    const isStart = change.state !== undefined || !isWhole;
    return isStart ? undefined : "has nothing before it, neither in the log nor in the base";
  }
  if (change.seq <= before.appliedSeq || change.version === before.entity.version + 1) return undefined;
  return `has version ${change.version} after ${before.entity.version}`;
}

/** `isWhole`: what is folded of ops began at the beginning. */
function differingFields(document: AnyRecord, record: AnyRecord, isWhole: boolean): string[] {
  const [kept, told] = [flat(document, isWhole), flat(record, isWhole)];
  const names = new Set([...Object.keys(kept), ...Object.keys(told)]);
  return [...names].filter((name) => !isDeepStrictEqual(kept[name], told[name])).toSorted();
}

/** As it stands in the document. */
function flat(record: AnyRecord, withMarks: boolean): Record<string, unknown> {
  if (!withMarks) return { ...record.entity };
  const ops = "lastOp" in record ? { last_op: record.lastOp, last_op_seq: record.lastOpSeq } : {};
  return { ...record.entity, ...ops, edit_version: record.editVersion };
}

function copyOf(family: Family): Family {
  const copy = new Family();
  copy.session = family.session;
  for (const [taskId, record] of family.tasks) copy.tasks.set(taskId, record);
  return copy;
}

function recordOf(family: Family, id: string): AnyRecord | undefined {
  return id === SESSION ? family.session : family.tasks.get(id);
}

function idsOf(family: Family): string[] {
  return [...(family.session === undefined ? [] : [SESSION]), ...family.tasks.keys()];
}

function named(id: string): string {
  return id === SESSION ? "the session" : `task ${id}`;
}
