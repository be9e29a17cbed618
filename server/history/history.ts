import type { Session } from "../../shared/entities.ts";
import type { SnapshotPage } from "../../shared/messages/project-snapshot.ts";
import type { Position } from "../../shared/position.ts";
import type { ChangesPage } from "../../shared/rest/projects.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Snapshot } from "../following/snapshot.ts";
import type { Snapshots } from "../following/snapshots.ts";
import type { Base, ChangeLog, Clock, Projections } from "../ports.ts";
import type { Queries } from "../queries/ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { Checkpoints } from "./checkpoints.ts";
import { findPlace, type Moment, type Place, TRIMMED } from "./moment.ts";
import { buildSnapshotAt } from "./project-at.ts";
import { readChangesSince } from "./project-changes.ts";
import { readSessionAt } from "./session-at.ts";
import { TOO_FAR } from "./too-far.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
  readonly queries: Pick<Queries, "readHistory">;
  readonly snapshots: Snapshots;
  readonly clock: Pick<Clock, "monotonic">;
  readonly bounds: typeof BOUNDS;
}

/** What was, as far as the log and the base before it tell. Every method rejects when the database does not answer. */
export class History {
  readonly #options: Options;
  readonly #checkpoints: Checkpoints;
  /** Snapshots that are being made, by project and seq, and who waits for a place among them. */
  readonly #building = new Map<string, Promise<Outcome<SnapshotPage>>>();
  #lane: Promise<unknown> = Promise.resolve();

  constructor(options: Options) {
    this.#options = options;
    this.#checkpoints = new Checkpoints(options.bounds);
  }

  changesSince(projectId: string, since: Position | undefined, limit: number): Promise<Outcome<ChangesPage>> {
    return readChangesSince(projectId, since, limit, this.#options);
  }

  /** The session's logged fields as they were. */
  async sessionAt(projectId: string, sessionId: string, moment: Moment): Promise<Outcome<Session>> {
    const isOver = this.#timeIsOver();
    const place = await findPlace(projectId, moment, this.#options);
    if (!place.ok) return place;
    return readSessionAt(projectId, sessionId, place.value, { ...this.#options, isOver });
  }

  /**
   * First page of the project's state as it was, with the window of a snapshot of then. One is made at a time, since each
   * may take as much memory as the project; few wait.
   */
  async snapshotAt(projectId: string, moment: Moment): Promise<Outcome<SnapshotPage>> {
    const place = await findPlace(projectId, moment, this.#options);
    if (!place.ok) return place;
    const kept = await this.#options.snapshots.past(projectId, place.value);
    if (kept !== undefined) return accepted(kept);
    const key = `${projectId}/${place.value.epoch}/${place.value.seq}/${place.value.time}`;
    const running = this.#building.get(key);
    if (running !== undefined) return running;
    if (this.#building.size >= this.#options.bounds.pastSnapshotsWaiting) return refused(BUSY);
    const building = this.#lane
      .then(() => this.#build(projectId, place.value))
      .finally(() => this.#building.delete(key));
    this.#lane = building.catch(() => {});
    this.#building.set(key, building);
    return building;
  }

  async #build(projectId: string, first: Place): Promise<Outcome<SnapshotPage>> {
    const isOver = this.#timeIsOver();
    for (let place = first; ; ) {
      const built = await buildSnapshotAt(projectId, place, {
        ...this.#options,
        checkpoints: this.#checkpoints,
        isOver,
      });
      if (built === "trimmed") return refused(TRIMMED);
      if (built === "late") return refused(TOO_FAR);
      if (built !== "moved") return accepted(await this.#keep(projectId, place, built));
      const again = await findPlace(projectId, { seq: place.seq }, this.#options);
      if (!again.ok) return again;
      if (isOver()) return refused(TOO_FAR);
      place = { ...again.value, time: place.time };
    }
  }

  #keep(projectId: string, place: Place, snapshot: Snapshot): Promise<SnapshotPage> {
    return this.#options.snapshots.keepPast(projectId, place, snapshot);
  }

  #timeIsOver(): () => boolean {
    const { clock, bounds } = this.#options;
    const until = clock.monotonic() + bounds.historyAtMs;
    return () => clock.monotonic() > until;
  }
}

const BUSY = {
  code: "OVERLOADED",
  message: "too many requests for past states wait; try again later",
  retry_after_ms: 2_000,
} as const;
