import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import { Family } from "../domain/records.ts";
import type { ProjectionBatch } from "../ports.ts";
import {
  decodeSession,
  decodeTask,
  encodeRemoval,
  encodeSession,
  encodeTask,
  isTombstone,
  type SessionDocument,
  type TaskDocument,
} from "./codec.ts";
import { replaceOlder } from "./replace-older.ts";

/** Keys that begin with this one and "/": "0" follows "/". */
export function keysBelow(key: string) {
  return { $gt: `${key}/`, $lt: `${key}0` };
}

/** The families of these sessions, of documents that were found for them; a tombstone tells what is too old to count. */
export function familiesOf(
  projectId: string,
  sessionIds: readonly string[],
  found: { readonly sessions: readonly SessionDocument[]; readonly tasks: readonly TaskDocument[] },
): Map<string, Family> {
  const families = new Map(sessionIds.map((sessionId) => [sessionId, new Family()]));
  const byKey = new Map(sessionIds.map((sessionId) => [sessionKey(projectId, sessionId), families.get(sessionId)]));
  for (const document of found.sessions) {
    const family = byKey.get(document._id);
    if (family === undefined) continue;
    if (isTombstone(document)) family.removed = { seq: document.applied_seq, task_ids: [] };
    else family.session = decodeSession(document);
  }
  for (const document of found.tasks) {
    if (!isTombstone(document)) families.get(document.session_id)?.tasks.set(document.task_id, decodeTask(document));
  }
  return families;
}

/** Replaces what is older in two collections of sessions and tasks. */
export async function writeBatch(
  db: mongo.Db,
  collections: { readonly sessions: string; readonly tasks: string },
  { sessions, tasks, removals = [] }: ProjectionBatch,
  writeConcern: mongo.WriteConcernSettings,
): Promise<void> {
  const tombstones = removals.map(encodeRemoval);
  const write = (collection: string, documents: Parameters<typeof replaceOlder>[2]) =>
    replaceOlder(db, collection, documents, writeConcern);
  await Promise.all([
    write(collections.sessions, [...sessions.map(encodeSession), ...tombstones.map(({ session }) => session)]),
    write(collections.tasks, [...tasks.map(encodeTask), ...tombstones.flatMap((tombstone) => tombstone.tasks)]),
  ]);
}
