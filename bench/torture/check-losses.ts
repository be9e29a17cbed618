import type { LogEntry } from "./check-history.ts";

/** A session was open on a living connection of its agent, which sent heartbeats. Wall clock, milliseconds. */
export interface Stay {
  readonly project_id: string;
  readonly session_id: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Loss {
  readonly session: string;
  readonly atMs: number;
  /** Its agent was there: it should never have been called lost. */
  readonly isWrong: boolean;
}

/** Every verdict `lost` in the log, held against where the agents were. Hubs and agents share one clock here. */
export function lossesIn(entries: readonly LogEntry[], stays: readonly Stay[]): Loss[] {
  const bySession = Map.groupBy(stays, ({ project_id, session_id }) => `${project_id}/${session_id}`);
  return entries.flatMap(({ _id, at, changes }) =>
    changes
      .filter(({ type, patch }) => type === "liveness" && patch?.liveness === "lost")
      .map(({ session_id }) => {
        const session = `${_id.p}/${session_id}`;
        const atMs = new Date(at).getTime();
        const isWrong = (bySession.get(session) ?? []).some(({ fromMs, toMs }) => fromMs < atMs && atMs < toMs);
        return { session, atMs, isWrong };
      }),
  );
}
