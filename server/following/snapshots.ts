import { randomBytes } from "node:crypto";
import type { Session, Task } from "../../shared/entities.ts";
import type { SnapshotPage } from "../../shared/messages/project-snapshot.ts";
import type { BOUNDS } from "../bounds.ts";
import type { ChangeLog, Clock, Projections } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import { buildSnapshot, type Snapshot } from "./snapshot.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
  readonly pageSize: number;
}

interface Kept {
  readonly id: string;
  readonly projectId: string;
  readonly snapshot: Snapshot;
  /** Monotonic. */
  readonly until: number;
}

/** Snapshots of projects: built once for all that ask at the same position, kept for their further pages. */
export class Snapshots {
  readonly #options: Options;
  readonly #kept = new Map<string, Kept>();
  readonly #newest = new Map<string, Kept>();
  readonly #building = new Map<string, Promise<Kept>>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** First page of a snapshot that is no older than the project's head at this moment. */
  async first(project: Project): Promise<SnapshotPage> {
    return this.#page(await this.#current(project), 0);
  }

  /** A further page; `malformed` for what is no cursor of this project, `gone` when its snapshot is no longer kept. */
  next(projectId: string, cursor: string): SnapshotPage | "malformed" | "gone" {
    this.#expire();
    const match = /^([0-9a-f]{16})\.(\d{1,9})$/.exec(cursor);
    if (match?.[1] === undefined) return "malformed";
    const kept = this.#kept.get(match[1]);
    if (kept === undefined) return "gone";
    const offset = Number(match[2]);
    const { sessions, tasks } = kept.snapshot;
    const wasGiven = offset > 0 && offset % this.#options.pageSize === 0 && offset < sessions.length + tasks.length;
    return kept.projectId === projectId && wasGiven ? this.#page(kept, offset) : "malformed";
  }

  async #current(project: Project): Promise<Kept> {
    this.#expire();
    const newest = this.#newest.get(project.id);
    if (
      newest !== undefined &&
      newest.snapshot.seq >= project.head.seq &&
      newest.snapshot.epoch === project.head.epoch
    ) {
      return newest;
    }
    // A build that began earlier reads the log to its end, but perhaps before the head of now was there.
    const key = `${project.id}@${project.head.epoch}:${project.head.seq}`;
    let building = this.#building.get(key);
    if (building === undefined) {
      building = this.#build(project.id).finally(() => this.#building.delete(key));
      this.#building.set(key, building);
    }
    return building;
  }

  async #build(projectId: string): Promise<Kept> {
    const { clock, bounds } = this.#options;
    const snapshot = await buildSnapshot(projectId, { ...this.#options, now: clock.now() });
    const until = clock.monotonic() + bounds.snapshotTtlMs;
    const kept: Kept = { id: randomBytes(8).toString("hex"), projectId, snapshot, until };
    this.#kept.set(kept.id, kept);
    this.#newest.set(projectId, kept);
    return kept;
  }

  #page(kept: Kept, offset: number): SnapshotPage {
    const { pageSize } = this.#options;
    const { epoch, seq, sessions, tasks } = kept.snapshot;
    const page = {
      sessions: sessions.slice(offset, offset + pageSize) as Session[],
      tasks: [] as readonly Task[],
    };
    const room = pageSize - page.sessions.length;
    if (room > 0) {
      const start = Math.max(0, offset - sessions.length);
      page.tasks = tasks.slice(start, start + room);
    }
    const end = offset + page.sessions.length + page.tasks.length;
    const more = end < sessions.length + tasks.length;
    return { epoch, seq, ...page, ...(more ? { next_cursor: `${kept.id}.${end}` } : {}) };
  }

  #expire(): void {
    const { clock, bounds } = this.#options;
    const now = clock.monotonic();
    for (const kept of this.#kept.values()) {
      if (kept.until > now && this.#kept.size <= bounds.snapshotsCached) break;
      this.#kept.delete(kept.id);
      if (this.#newest.get(kept.projectId) === kept) this.#newest.delete(kept.projectId);
    }
  }
}
