import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { BeatRow, Beats } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

interface Row {
  readonly hubId: string;
  readonly info: HeartbeatInfo;
}

/** Rows of heartbeats in memory: for unit tests and simulation. */
export class MemoryBeats implements Beats {
  readonly #rows = new Map<string, Row>();

  async write(hubId: string, rows: readonly BeatRow[]): Promise<void> {
    for (const row of rows) {
      const key = sessionKey(row.projectId, row.sessionId);
      const held = this.#rows.get(key);
      if (!row.claim && held !== undefined && held.hubId !== hubId) continue;
      const info = { last_heartbeat_at: row.lastHeartbeatAt, ...row.heartbeat } as HeartbeatInfo;
      this.#rows.set(key, { hubId, info: frozenCopy(info) });
    }
  }

  /** The last heartbeats of these sessions, by `<project>/<session>`. */
  async read(keys: readonly string[]): Promise<Map<string, HeartbeatInfo>> {
    const found = new Map<string, HeartbeatInfo>();
    for (const key of keys) {
      const row = this.#rows.get(key);
      if (row !== undefined) found.set(key, row.info);
    }
    return found;
  }
}
