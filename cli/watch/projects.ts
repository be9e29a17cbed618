import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStatus } from "../../shared/entities.ts";
import type { HubAddress } from "../hub-address.ts";
import { askHub } from "../rest.ts";
import type { ShownSession } from "../session-text.ts";

interface Page {
  readonly items: readonly ShownSession[];
  readonly next_cursor?: string;
}

interface Options {
  readonly hub: HubAddress;
  /** Undefined: all. */
  readonly projectId: string | undefined;
  readonly endedWithinMs: number;
  /** Every session that is found, with its newest heartbeat; the same one may come again. */
  readonly found: (sessions: readonly ShownSession[]) => void;
}

/** Those that wait come first: where the number of projects is limited, theirs are in. */
const LIVE: readonly SessionStatus[] = ["WAITING", "ACTIVE", "PAUSED", "IDLE"];

const PAGE = "500";
const LOOK_EVERY_MS = 3_000;
/** A session that shows late, or was dated by the clock of another hub, is found if it comes no later than this. */
const OVERLAP_MS = 30_000;

/**
 * Finds out over REST what there is to follow: a hub does not list projects, but sessions. The first look goes through
 * all that live or ended lately; from then on only what was created since is asked for.
 */
export class ProjectFinder {
  readonly #options: Options;
  readonly #closed = new AbortController();
  #hasSeenAll = false;
  /** `created_at` of the newest session, and when that was first seen. */
  #newest = { created_at: "", seenAt: 0 };

  constructor(options: Options) {
    this.#options = options;
  }

  /** Rejects with the hub's refusal, or because it is not there. */
  async look(): Promise<void> {
    if (this.#hasSeenAll) await this.#list(this.#newSessions());
    else {
      for (const status of LIVE) await this.#list({ status });
      await this.#list({ updated_from: new Date(Date.now() - this.#options.endedWithinMs).toISOString() });
      this.#hasSeenAll = true;
    }
  }

  /**
   * Until it is closed, or there is nothing more to find. `looked` hears of the end of every look; one that failed is
   * made up for by the next.
   */
  async keepLooking(looked: (error?: unknown) => void): Promise<void> {
    do {
      try {
        await this.look();
        looked();
      } catch (error) {
        looked(error);
      }
    } while ((!this.#hasSeenAll || this.#options.projectId === undefined) && (await this.#pause()));
  }

  close(): void {
    this.#closed.abort();
  }

  #newSessions(): Readonly<Record<string, string>> {
    const { created_at, seenAt } = this.#newest;
    if (created_at === "") return {};
    const from = performance.now() - seenAt < OVERLAP_MS ? -OVERLAP_MS : 1;
    return { created_from: new Date(Date.parse(created_at) + from).toISOString() };
  }

  async #list(filter: Readonly<Record<string, string>>): Promise<void> {
    let cursor: string | undefined;
    do {
      const query = { ...filter, project_id: this.#options.projectId, limit: PAGE, cursor };
      const page: Page = await askHub<Page>(this.#options.hub, { path: "/sessions", query });
      if (this.#closed.signal.aborted) return;
      for (const { created_at } of page.items) {
        if (created_at > this.#newest.created_at) this.#newest = { created_at, seenAt: performance.now() };
      }
      this.#options.found(page.items);
      cursor = page.next_cursor;
    } while (cursor !== undefined);
  }

  async #pause(): Promise<boolean> {
    try {
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#closed.signal });
      return true;
    } catch {
      return false;
    }
  }
}
