import type { DisplayState } from "../../shared/display.ts";
import { hasEnded, inOrder, type WatchRow } from "./rows.ts";

/** How far what is shown can be trusted. */
export type Connection =
  /** Nothing has come yet; `cause`: why not, as far as it is known. */
  | { readonly state: "connecting"; readonly cause?: string }
  /** Every project is in step. `cause`: why new ones are not found meanwhile. */
  | { readonly state: "live"; readonly cause?: string }
  /**
   * So many of the projects are not in step since then, and show what was so at `asOf`; of several projects the
   * earliest time each. Milliseconds since 1970, hub's time.
   */
  | {
      readonly state: "away";
      readonly since: number;
      readonly asOf: number;
      readonly projects: number;
      readonly cause?: string;
    };

/** Everything that is on the screen, as of one moment. */
export interface Picture {
  /** The hub's time, milliseconds since 1970: what all ages are told from. */
  readonly at: number;
  readonly url: string;
  /** Undefined: all projects. */
  readonly projectId: string | undefined;
  /** Followed / known to have sessions. */
  readonly projects: { readonly followed: number; readonly known: number };
  readonly connection: Connection;
  /** How many there are, those that are filtered out included. */
  readonly counts: ReadonlyMap<DisplayState, number>;
  /** In order. */
  readonly rows: readonly WatchRow[];
}

export interface Filter {
  readonly needsMe: boolean;
  /** Sessions that ended longer ago are left out. */
  readonly endedWithinMs: number;
}

/** What is to be seen of all rows, counted and in order. */
export function select(
  all: readonly WatchRow[],
  { needsMe, endedWithinMs }: Filter,
  at: number,
): Pick<Picture, "counts" | "rows"> {
  const rows = inOrder(all.filter(({ state, since }) => !hasEnded(state) || at - Date.parse(since) <= endedWithinMs));
  const counts = new Map<DisplayState, number>();
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1);
  return { counts, rows: needsMe ? rows.filter((row) => row.needs_me) : rows };
}

/** For scripts: the picture as one JSON document. */
export function documentOf({ at, connection, projects, rows }: Picture): object {
  return {
    at: iso(at),
    connection: connection.state === "away" ? awayDocument(connection) : connection,
    projects,
    sessions: rows.map(({ created_at: _, ...row }) => row),
  };
}

function awayDocument({ since, asOf, ...rest }: Connection & { state: "away" }): object {
  return { ...rest, since: iso(since), as_of: iso(asOf) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
