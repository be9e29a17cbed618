import type { Check } from "../../shared/rest/doctor.ts";

/** What a check says; `ok` is absent where it could not be told. */
export type Verdict = Omit<Check, "name" | "project_id">;

export function fine(detail: string): Verdict {
  return { ok: true, detail };
}

/** Nothing is wrong, and it could be better. */
export function advice(detail: string, whatToDo: string): Verdict {
  return { ok: true, detail, what_to_do: whatToDo };
}

export function wrong(detail: string, whatToDo: string): Verdict {
  return { ok: false, detail, what_to_do: whatToDo };
}

export function untold(detail: string): Verdict {
  return { detail };
}

/** The first few of what was found, and how many more there are. */
export function listed(findings: readonly string[]): string {
  const more = findings.length - MOST_LISTED;
  const shown = findings.slice(0, MOST_LISTED).join("; ");
  return more > 0 ? `${shown}; and ${more} more` : shown;
}

const MOST_LISTED = 5;

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
