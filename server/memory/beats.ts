import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { BeatRow, Beats, StoredBeat } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

interface Row extends StoredBeat {
  readonly hubId: string;
  readonly isStill: boolean;
}

/** Rows of heartbeats in memory: for unit tests and simulation. */
export class MemoryBeats implements Beats {
  readonly #rows = new Map<string, Row>();
  readonly #removed = new Set<string>();

  async write(hubId: string, rows: readonly BeatRow[]): Promise<void> {
    for (const row of rows) {
      const key = sessionKey(row.projectId, row.sessionId);
      if (this.#removed.has(key)) continue;
      const held = this.#rows.get(key);
      if (!row.claim && held !== undefined && held.hubId !== hubId) continue;
      const { incarnation, lastHeartbeatAt: last_heartbeat_at, lastActivityAt: last_activity_at } = row;
      const activity = last_activity_at === undefined ? {} : { last_activity_at };
      const info = { last_heartbeat_at, ...activity, ...row.heartbeat } as HeartbeatInfo;
      this.#rows.set(key, { hubId, isStill: row.isStill, incarnation, info: frozenCopy(info) });
    }
  }

  async read(keys: readonly string[]): Promise<Map<string, StoredBeat>> {
    const found = new Map<string, StoredBeat>();
    for (const key of keys) {
      const row = this.#rows.get(key);
      if (row !== undefined) found.set(key, { incarnation: row.incarnation, info: row.info });
    }
    return found;
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.#rows.delete(key);
      this.#removed.add(key);
    }
  }

  async findStill(since: string, limit: number): Promise<string[]> {
    const heard = ({ info }: Row) => info.last_heartbeat_at;
    return [...this.#rows]
      .filter(([, row]) => row.isStill && heard(row) >= since)
      .sort(([, a], [, b]) => (heard(a) < heard(b) ? 1 : -1))
      .slice(0, limit)
      .map(([key]) => key);
  }
}
