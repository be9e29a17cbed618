import { createHash } from "node:crypto";

/** Longest cursor that is looked at: three ids and a time need about 600 characters. */
const MAX_CHARS = 1_024;

/** What a cursor belongs to: the list and its filters. A cursor of another list is refused, not misread. */
export type CursorScope = readonly [list: string, filter: Readonly<Record<string, unknown>>];

/** An opaque cursor for a place in a list. */
export function encodeCursor(scope: CursorScope, place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([digest(scope), ...place])).toString("base64url");
}

/** The place, or undefined when the hub did not give this cursor for this list and these filters. */
export function decodeCursor(scope: CursorScope, cursor: string): readonly unknown[] | undefined {
  if (cursor.length > MAX_CHARS) return undefined;
  try {
    const text = Buffer.from(cursor, "base64url").toString();
    const decoded: unknown = JSON.parse(text);
    // One spelling only: what decodes to the same text but reads differently was not made here.
    if (!Array.isArray(decoded) || Buffer.from(text).toString("base64url") !== cursor) return undefined;
    const [scopeDigest, ...place] = decoded as unknown[];
    return scopeDigest === digest(scope) ? place : undefined;
  } catch {
    return undefined;
  }
}

function digest([list, filter]: CursorScope): string {
  const given = Object.entries(filter)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([list, given]))
    .digest("base64url")
    .slice(0, 12);
}
