import type { PublishResult } from "../../shared/messages/changes-publish.ts";
import type { Answer } from "../domain/commands.ts";
import type { ChangeLog } from "../ports.ts";

/**
 * Results of an op that was applied before: entities that it changed come with their version and seq of then, read
 * from the log; the others stay as they are now, unchanged. Undefined when the log no longer has the entry.
 */
export async function originalResults(
  changeLog: ChangeLog,
  { session, results }: Answer,
): Promise<readonly PublishResult[] | undefined> {
  const { project_id, session_id, incarnation } = session.entity;
  const entry = await changeLog.readHolding(project_id, session.lastOpSeq);
  if (entry === undefined) return undefined;
  const own = entry.changes.filter(
    (change) => change.session_id === session_id && change.op === session.lastOp && change.incarnation === incarnation,
  );
  return results.map((result) => {
    const change = own.find(({ kind, id }) => kind === result.kind && id === result.id);
    return change === undefined ? result : { ...result, version: change.version, seq: change.seq, changed: true };
  });
}
