import type { ProjectScope } from "../domain/project-scope.ts";
import { type ListOrder, orderOfSessions } from "../queries/list-order.ts";
import type { ListPlace, SessionFilter, TaskFilter } from "../queries/ports.ts";
import { ATTEMPTS, SESSION_FILTERS } from "./models.ts";

type Condition = Readonly<Record<string, unknown>>;
type Index = Readonly<Record<string, 1 | -1>>;

/** How a page is read: these queries one after the other until it is full, each in the order of the index. */
export interface ListPlan {
  readonly parts: readonly Condition[];
  readonly sort: Readonly<Record<string, -1>>;
  /** The index that serves it; absent where several could, and mongod has to find out which is best. */
  readonly hint?: Index;
}

/** Which projects a list covers: all, these, or what a scope reaches when that is too many to name. */
export type Coverage = "all" | readonly string[] | ProjectScope;

const FIELDS: Readonly<Record<ListOrder, string>> = {
  created_at: "created_at",
  updated_at: "updated_at",
  recovery_attempts: ATTEMPTS,
};

/** Index of the tasks of one session. */
const SESSION_TASKS: Index = { session_id: 1, created_at: -1, _id: -1 };

export function planSessions(filter: SessionFilter, coverage: Coverage, after: ListPlace | undefined): ListPlan {
  const { min_recovery_attempts: attempts = 0 } = filter;
  const order = orderOfSessions(filter);
  const fields = SESSION_FILTERS.filter((field) => filter[field] !== undefined);
  const conditions: Condition[] = fields.map((field) => ({ [field]: filter[field] }));
  if (attempts > 0) conditions.push({ [ATTEMPTS]: { $gte: attempts } });
  const shape = { conditions: [...conditions, ...timesOf(filter)], order, coverage, after };
  if (order === "recovery_attempts" && fields.length === 0) {
    return hinted(shape, { ...leading(coverage), [ATTEMPTS]: -1, _id: -1, created_at: -1 });
  }
  const isIndexed = order === "created_at" ? fields.length <= 1 : fields.length === 0 && attempts === 0;
  return isIndexed ? hinted(shape, indexOf(coverage, fields, order)) : planOf(shape);
}

export function planTasks(filter: TaskFilter, coverage: Coverage, after: ListPlace | undefined): ListPlan {
  const { session_id, status } = filter;
  const conditions: Condition[] = [
    ...(session_id === undefined ? [] : [{ session_id }]),
    ...(status === undefined ? [] : [{ status }]),
  ];
  const shape = { conditions: [...conditions, ...timesOf(filter)], order: "created_at", coverage, after } as const;
  // A session's tasks are few; left alone mongod may walk everybody's, from new to old.
  if (session_id !== undefined) return { ...planOf(shape), hint: SESSION_TASKS };
  return status === undefined ? hinted(shape, indexOf(coverage, [], "created_at")) : planOf(shape);
}

interface Shape {
  readonly conditions: readonly Condition[];
  readonly order: ListOrder;
  readonly coverage: Coverage;
  readonly after: ListPlace | undefined;
}

/**
 * Of one range of the index mongod merges the parts in their order, so that one query does, if each of them says all of it.
 * Of several ranges it would fetch everything that shares the place's value.
 */
function hinted(shape: Shape, hint: Index): ListPlan {
  const { parts, sort } = planOf(shape);
  return { parts: isOneRange(shape.coverage) && parts.length > 1 ? [{ $or: parts }] : parts, sort, hint };
}

function isOneRange(coverage: Coverage): boolean {
  return coverage === "all" || (isNamed(coverage) && coverage.length === 1);
}

/** Only validated scalars get here; a value never becomes an operator. */
function planOf({ conditions, order, coverage, after }: Shape): ListPlan {
  const field = FIELDS[order];
  const all = [...coveredBy(coverage), ...conditions];
  const sort = { [field]: -1, _id: -1 } as const;
  if (after === undefined) return { parts: [all.length === 0 ? {} : { $and: all }], sort };
  const value = typeof after.value === "number" ? after.value : new Date(after.value);
  // Those that share the place's value first.
  const rest = [{ [field]: value, _id: { $lt: after.key } }, { [field]: { $lt: value } }];
  return { parts: rest.map((place) => ({ $and: [...all, place] })), sort };
}

function timesOf({ created_from, created_to, updated_from }: SessionFilter | TaskFilter): Condition[] {
  const conditions: Condition[] = [];
  if (created_from !== undefined) conditions.push({ created_at: { $gte: new Date(created_from) } });
  if (created_to !== undefined) conditions.push({ created_at: { $lt: new Date(created_to) } });
  if (updated_from !== undefined) conditions.push({ updated_at: { $gte: new Date(updated_from) } });
  return conditions;
}

/** Of several projects mongod merges the ranges of each, in order. Of a scope it looks at keys, which begin with the project. */
function coveredBy(coverage: Coverage): Condition[] {
  if (coverage === "all") return [];
  if (isNamed(coverage)) return [{ project_id: coverage.length === 1 ? coverage[0] : { $in: coverage } }];
  const beginnings = [...[...coverage.ids].map((id) => `${id}/`), ...coverage.prefixes];
  return [{ _id: { $regex: `^(?:${beginnings.map((text) => text.replaceAll(".", "\\.")).join("|")})` } }];
}

function indexOf(coverage: Coverage, fields: readonly string[], order: ListOrder): Index {
  const equal = Object.fromEntries(fields.map((field) => [field, 1] as const));
  return { ...leading(coverage), ...equal, [FIELDS[order]]: -1, _id: -1 };
}

function leading(coverage: Coverage): Index {
  return isNamed(coverage) ? { project_id: 1 } : {};
}

function isNamed(coverage: Coverage): coverage is readonly string[] {
  return Array.isArray(coverage);
}
