import type { Session, Task } from "../../shared/entities.ts";
import type { SessionFilter } from "./ports.ts";

/**
 * The field by which a list runs, from the newest or greatest down; equal ones run by key. Whoever asks since when, or how
 * often, is answered by that: the others stand in the order in which they were created, which never changes.
 */
export type ListOrder = "created_at" | "updated_at" | "recovery_attempts";

export function orderOfSessions({ updated_from, min_recovery_attempts = 0 }: SessionFilter): ListOrder {
  if (updated_from !== undefined) return "updated_at";
  // Without the counter it is 0: every session fits, most of them without any to run by.
  return min_recovery_attempts > 0 ? "recovery_attempts" : "created_at";
}

/** Where an entity stands in such a list. */
export function orderedValue(order: ListOrder, entity: Session | Task): string | number {
  if (order !== "recovery_attempts") return entity[order];
  const { recovery_attempts } = entity.metadata;
  return typeof recovery_attempts === "number" ? recovery_attempts : 0;
}
