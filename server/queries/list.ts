import { type Session, type Task, Timestamp } from "../../shared/entities.ts";
import { refuseFields } from "../../shared/errors.ts";
import { ID_PATTERN, sessionKey, taskKey } from "../../shared/ids.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { type CursorScope, decodeCursor, encodeCursor } from "./cursor.ts";
import { type ListOrder, orderedValue, orderOfSessions } from "./list-order.ts";
import type { ListPlace, Queries, SessionFilter, TaskFilter } from "./ports.ts";

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Of this page. */
  readonly length: number;
  /** There when more may follow. */
  readonly next_cursor?: string;
}

export function listSessions(
  queries: Queries,
  filter: SessionFilter,
  scope: ProjectScope,
  request: PageRequest,
): Promise<Outcome<Page<Session>>> {
  return list(["sessions", { ...filter }], request, {
    order: orderOfSessions(filter),
    parts: 2,
    keyOf: (session) => sessionKey(session.project_id, session.session_id),
    read: (after, limit) => queries.listSessions(filter, scope, after, limit),
  });
}

export function listTasks(
  queries: Queries,
  filter: TaskFilter,
  scope: ProjectScope,
  request: PageRequest,
): Promise<Outcome<Page<Task>>> {
  return list(["tasks", { ...filter }], request, {
    order: "created_at",
    parts: 3,
    keyOf: (task) => taskKey(task.project_id, task.session_id, task.task_id),
    read: (after, limit) => queries.listTasks(filter, scope, after, limit),
  });
}

interface Source<T> {
  readonly order: ListOrder;
  /** Ids in a key. */
  readonly parts: number;
  keyOf(entity: T): string;
  read(after: ListPlace | undefined, limit: number): Promise<T[]>;
}

/** One page by keyset: what does not change its place meanwhile is met exactly once, whatever comes or goes beside it. */
async function list<T extends Session | Task>(
  scope: CursorScope,
  { limit, cursor }: PageRequest,
  source: Source<T>,
): Promise<Outcome<Page<T>>> {
  const after = cursor === undefined ? undefined : placeOf(decodeCursor(scope, cursor), source);
  if (cursor !== undefined && after === undefined) return refuseCursor();
  const found = await source.read(after, limit + 1);
  const items = found.slice(0, limit);
  return accepted(pageOf(items, found.length > limit ? nextCursor(scope, items.at(-1), source) : undefined));
}

export function pageOf<T>(items: readonly T[], nextCursor: string | undefined): Page<T> {
  return { items, length: items.length, ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }) };
}

export function refuseCursor(message = "was not given for this list and these filters") {
  return refused(refuseFields([{ field: "cursor", message }]));
}

function nextCursor<T extends Session | Task>(scope: CursorScope, last: T | undefined, { order, keyOf }: Source<T>) {
  return last === undefined ? undefined : encodeCursor(scope, [orderedValue(order, last), keyOf(last)]);
}

function placeOf<T>(
  place: readonly unknown[] | undefined,
  { order, parts }: Pick<Source<T>, "order" | "parts">,
): ListPlace | undefined {
  const [value, key] = place ?? [];
  if (place?.length !== 2 || typeof key !== "string") return undefined;
  const isValue = order === "recovery_attempts" ? Number.isSafeInteger(value) : Timestamp.safeParse(value).success;
  const ids = key.split("/");
  return isValue && ids.length === parts && ids.every((id) => ID_PATTERN.test(id))
    ? { value: value as string | number, key }
    : undefined;
}
