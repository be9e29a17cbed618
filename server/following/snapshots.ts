import { randomBytes } from "node:crypto";
import type { Session, Task } from "../../shared/entities.ts";
import type { SnapshotPage } from "../../shared/messages/project-snapshot.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Head } from "../domain/records.ts";
import type { ChangeLog, Clock, Projections } from "../ports.ts";
import { nextTurn } from "../timing.ts";
import type { Project } from "../writer/project.ts";
import { buildSnapshot, type Snapshot } from "./snapshot.ts";
import { cutPages } from "./snapshot-pages.ts";

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
  readonly pageStarts: readonly number[];
  /** Of a state that is past: the moment that it was asked for. */
  readonly momentAt: string | undefined;
  /** Monotonic. */
  readonly builtAt: number;
  /** Joins that were answered with it. */
  joins: number;
  readonly until: number;
}

/** Which state of the past. */
interface PastMoment {
  readonly epoch: string;
  readonly seq: number;
  readonly time: string;
}

interface Build {
  /** Head of the project when it began. */
  readonly head: Head;
  readonly current: Promise<Kept>;
  /** For those who came after `current` had begun to read. */
  next: Promise<Kept> | undefined;
}

/**
 * Snapshots of projects: built once for all that ask at the same position, kept for their further pages. However many
 * ask while changes go on, one build of a project is under way and at most one waits for its end.
 */
export class Snapshots {
  readonly #options: Options;
  readonly #kept = new Map<string, Kept>();
  readonly #newest = new Map<string, Kept>();
  readonly #building = new Map<string, Build>();
  #turns = Promise.resolve();
  /** Entities of all that are kept. */
  #entities = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(options: Options) {
    this.#options = options;
    // When nobody asks any more, too.
    this.#timer = setInterval(() => this.#expire(), options.bounds.snapshotTtlMs / 4);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** First page of a snapshot that is no older than the project's head at this moment. */
  async first(project: Project): Promise<SnapshotPage> {
    const kept = await this.#current(project);
    await this.turn();
    return this.#page(kept, 0);
  }

  /**
   * First page for a join, which is sent what comes after it. Where many join at once it may be a little older, if what
   * was committed since is in memory: however many they are, the project is read once in `snapshotReuseMs`.
   */
  async forJoin(project: Project): Promise<SnapshotPage> {
    const newest = this.#newest.get(project.id);
    const kept = newest !== undefined && this.#isReusable(newest, project) ? newest : await this.#current(project);
    kept.joins += 1;
    await this.turn();
    return this.#page(kept, 0);
  }

  /** First page of a project's state at a moment that is past, if it is still kept from when somebody asked for it. */
  async past(projectId: string, { epoch, seq, time }: PastMoment): Promise<SnapshotPage | undefined> {
    this.#expire();
    for (const kept of this.#kept.values()) {
      const { snapshot, momentAt } = kept;
      const isSame = kept.projectId === projectId && snapshot.seq === seq && snapshot.epoch === epoch;
      if (!isSame || momentAt !== time) continue;
      await this.turn();
      return this.#page(kept, 0);
    }
    return undefined;
  }

  /** Keeps such a state for its further pages. */
  async keepPast(projectId: string, { time }: PastMoment, snapshot: Snapshot): Promise<SnapshotPage> {
    const kept = await this.#keep(projectId, snapshot, time);
    await this.turn();
    return this.#page(kept, 0);
  }

  /** A further page; `malformed` for what is no cursor of this project, `gone` when its snapshot is no longer kept. */
  next(projectId: string, cursor: string): SnapshotPage | "malformed" | "gone" {
    this.#expire();
    const match = /^([0-9a-f]{16})\.(\d{1,9})$/.exec(cursor);
    if (match?.[1] === undefined) return "malformed";
    const kept = this.#kept.get(match[1]);
    if (kept === undefined) return "gone";
    const index = kept.pageStarts.indexOf(Number(match[2]));
    return kept.projectId === projectId && index > 0 ? this.#page(kept, index) : "malformed";
  }

  /** Drops what is kept from before a project's present epoch: some of its sessions may be forgotten. */
  forgetBefore({ id, head }: Pick<Project, "id" | "head">): void {
    for (const kept of this.#kept.values()) {
      if (kept.projectId === id && kept.snapshot.epoch !== head.epoch) this.#drop(kept);
    }
  }

  /** To be awaited before a page is answered: encoding takes milliseconds, and each gets a turn of the event loop. */
  turn(): Promise<void> {
    this.#turns = this.#turns.then(nextTurn);
    return this.#turns;
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
    return this.#build(project);
  }

  /** A build that has begun reads the log to its end, but perhaps before a later head was there. */
  #build(project: Project): Promise<Kept> {
    const running = this.#building.get(project.id);
    if (running === undefined) return this.#startBuild(project);
    if (running.head === project.head) return running.current;
    running.next ??= running.current.catch(() => {}).then(() => this.#startBuild(project));
    return running.next;
  }

  #startBuild(project: Project): Promise<Kept> {
    const current = this.#read(project.id).finally(() => {
      if (build.next === undefined) this.#building.delete(project.id);
    });
    const build: Build = { head: project.head, current, next: undefined };
    this.#building.set(project.id, build);
    return current;
  }

  async #read(projectId: string): Promise<Kept> {
    const snapshot = await buildSnapshot(projectId, { ...this.#options, now: this.#options.clock.now() });
    const kept = await this.#keep(projectId, snapshot, undefined);
    this.#newest.set(projectId, kept);
    return kept;
  }

  async #keep(projectId: string, snapshot: Snapshot, momentAt: string | undefined): Promise<Kept> {
    const { clock, bounds, pageSize } = this.#options;
    const pageStarts = await cutPages(snapshot, {
      entities: pageSize,
      bytes: bounds.snapshotPageBytes,
      slice: bounds.snapshotSlice,
    });
    const builtAt = clock.monotonic();
    const until = builtAt + bounds.snapshotTtlMs;
    const kept: Kept = {
      id: randomBytes(8).toString("hex"),
      projectId,
      snapshot,
      pageStarts,
      momentAt,
      builtAt,
      joins: 0,
      until,
    };
    this.#kept.set(kept.id, kept);
    this.#entities += sizeOf(kept);
    this.#expire();
    return kept;
  }

  #isReusable({ builtAt, joins, snapshot }: Kept, { head, recent }: Project): boolean {
    const { clock, bounds } = this.#options;
    return (
      snapshot.epoch === head.epoch &&
      joins >= bounds.snapshotReuseJoins &&
      clock.monotonic() - builtAt < bounds.snapshotReuseMs &&
      head.seq - snapshot.seq <= bounds.snapshotReuseChanges &&
      recent.after(snapshot.seq, head.seq) !== undefined
    );
  }

  #page(kept: Kept, index: number): SnapshotPage {
    const { epoch, seq, sessions, tasks } = kept.snapshot;
    const start = kept.pageStarts[index] ?? 0;
    const next = kept.pageStarts[index + 1];
    const tasksStart = Math.max(0, start - sessions.length);
    const tasksEnd = Math.max(0, (next ?? sessions.length + tasks.length) - sessions.length);
    return {
      epoch,
      seq,
      sessions: sessions.slice(start, next) as Session[],
      tasks: tasks.slice(tasksStart, tasksEnd) as Task[],
      ...(next === undefined ? {} : { next_cursor: `${kept.id}.${next}` }),
    };
  }

  /** Drops what is too old, and the oldest of too many, but never the newest of all. */
  #expire(): void {
    const { clock, bounds } = this.#options;
    const now = clock.monotonic();
    for (const kept of this.#kept.values()) {
      const isTooMuch = this.#kept.size > bounds.snapshotsCached || this.#entities > bounds.snapshotEntitiesCached;
      if (kept.until > now && (!isTooMuch || this.#kept.size === 1)) break;
      this.#drop(kept);
    }
  }

  #drop(kept: Kept): void {
    this.#kept.delete(kept.id);
    this.#entities -= sizeOf(kept);
    if (this.#newest.get(kept.projectId) === kept) this.#newest.delete(kept.projectId);
  }
}

function sizeOf({ snapshot }: Kept): number {
  return snapshot.sessions.length + snapshot.tasks.length;
}
