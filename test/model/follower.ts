import type { Entry } from "../../server/domain/records.ts";
import { changesFrame } from "../../server/following/frames.ts";
import { missedSince, prepareJoin } from "../../server/following/join.ts";
import type { Project } from "../../server/writer/project.ts";
import { applyChange } from "../../shared/apply-change.ts";
import type { Change, Session, Task } from "../../shared/entities.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import type { ProjectJoined } from "../../shared/messages/project-join.ts";
import type { Position } from "../../shared/position.ts";
import type { World } from "./history.ts";
import { removedAt } from "./lives.ts";
import type { SimHub } from "./sim-hub.ts";

/** A viewer: a mirror of one project, kept true by frames alone, over hubs that come and go. */
export class Follower {
  readonly projectId: string;
  readonly #world: World;
  #position: Position | undefined;
  #entities = new Map<string, Session | Task>();
  #joined: { readonly hub: SimHub; readonly project: Project } | undefined;
  readonly #listensTo = new Set<SimHub>();

  constructor(world: World, projectId: string) {
    this.#world = world;
    this.projectId = projectId;
  }

  get position(): Position {
    return this.#position ?? { epoch: "", seq: 0 };
  }

  get entities(): ReadonlyMap<string, Session | Task> {
    return this.#entities;
  }

  async run(rounds: number): Promise<void> {
    const { random, time } = this.#world;
    for (let left = rounds; left > 0; left--) {
      await this.join();
      await time.sleep(random.next() * 120);
      if (random.chance(0.6)) this.#leave();
      if (random.chance(0.2)) this.#forget();
    }
    await this.join();
  }

  /** Joins where it is not joined, trying until a hub answers. */
  async join(): Promise<void> {
    const { random, time } = this.#world;
    while (this.#joined === undefined || this.#joined.hub.isDead) {
      this.#leave();
      try {
        await this.#join(this.#world.someHub());
      } catch (error) {
        if (!String(error).includes("simulated")) throw error;
      }
      if (this.#joined === undefined) await time.sleep(random.next() * 20);
    }
  }

  async #join(hub: SimHub): Promise<void> {
    // Where somebody follows the project already, the head is kept up a poll's time behind.
    const isFollowed = (hub.core.projects.known(this.projectId)?.followers ?? 0) > 0;
    const acked = isFollowed ? 0 : this.#world.lastAcked(this.projectId);
    const since = this.#position;
    const prepared = await this.#world.orNever(hub, prepareJoin(this.projectId, since, hub.core.following));
    if (prepared === undefined) return;
    const { project, answer } = prepared;
    this.#world.expectAtLeast("the seq of a join", answer.seq, acked);
    this.#answer(hub, answer, since);
    const missed = missedSince(prepared);
    if (missed === undefined) {
      this.#forget();
      return;
    }
    for (const entry of missed) this.#frame(changesFrame(entry));
    project.followers += 1;
    this.#joined = { hub, project };
    if (this.#listensTo.has(hub)) return;
    this.#listensTo.add(hub);
    hub.core.projects.onEntry((of, entry) => this.#onEntry(hub, of, entry));
    // As `project:reset`.
    hub.core.projects.onAnew((of) => {
      if (of.id === this.projectId && this.#joined?.hub === hub) this.#leave();
    });
  }

  #answer(hub: SimHub, answer: ProjectJoined, since: Position | undefined): void {
    if (answer.mode === "replay") {
      if (answer.epoch !== since?.epoch) throw new Error("a replay of another epoch");
      this.#frame({
        project_id: this.projectId,
        epoch: answer.epoch,
        from_seq: answer.from_seq,
        to_seq: answer.seq,
        changes: answer.changes,
      });
      return;
    }
    const before = this.#entities;
    const isOlder = since !== undefined && since.epoch === answer.epoch && answer.seq < since.seq;
    if (isOlder) throw new Error(`a snapshot at ${answer.seq} for a viewer that had ${since.seq}`);
    this.#entities = new Map();
    for (const entity of [...answer.sessions, ...answer.tasks]) this.#hold(entity);
    for (let cursor = answer.next_cursor; cursor !== undefined; ) {
      const page = hub.core.snapshots.next(this.projectId, cursor);
      if (page === "gone" || page === "malformed") throw new Error(`a fresh cursor is ${page}`);
      if (page.seq !== answer.seq) throw new Error("pages of one snapshot differ in seq");
      for (const entity of [...page.sessions, ...page.tasks]) this.#hold(entity);
      cursor = page.next_cursor;
    }
    if (answer.epoch === since?.epoch) {
      for (const [key, entity] of this.#entities) {
        if (this.#removedAt(entity.session_id) > (before.get(key)?.seq ?? 0)) continue;
        if ((before.get(key)?.version ?? 0) > entity.version) throw new Error(`${key} went back to ${entity.version}`);
      }
    }
    this.#position = { epoch: answer.epoch, seq: answer.seq };
  }

  #hold(entity: Session | Task): void {
    const key = "task_id" in entity ? `${entity.session_id}/${entity.task_id}` : entity.session_id;
    if (this.#entities.has(key)) throw new Error(`${key} is twice in a snapshot`);
    this.#entities.set(key, entity);
  }

  /** Rooms go by the project's name. */
  #onEntry(hub: SimHub, project: Project, entry: Entry): void {
    if (project.id === this.projectId && this.#joined?.hub === hub && !hub.isDead) this.#frame(changesFrame(entry));
  }

  #frame(frame: ChangesFrame): void {
    const { epoch, seq } = this.position;
    if (epoch !== "" && frame.epoch !== epoch) throw new Error(`a frame of epoch ${frame.epoch}, not ${epoch}`);
    if (frame.from_seq !== seq + 1) throw new Error(`a frame from ${frame.from_seq} at position ${seq}`);
    let next = frame.from_seq;
    for (const change of frame.changes) {
      this.#checkPassed(next, change.seq);
      next = change.seq + 1;
      this.#change(change);
    }
    this.#checkPassed(next, frame.to_seq + 1);
    this.#position = { epoch: frame.epoch, seq: frame.to_seq };
  }

  /** [D26] Only what is forgotten may be passed over. */
  #checkPassed(from: number, to: number): void {
    if (to < from) throw new Error(`change ${to} where ${from} should be`);
    if (to === from) return;
    const changes = this.#world.changeLog.whole(this.projectId).flatMap((entry) => entry.changes);
    for (const { seq, session_id } of changes) {
      const isPassed = seq >= from && seq < to;
      if (isPassed && this.#removedAt(session_id) <= seq) throw new Error(`change ${seq} was passed over`);
    }
  }

  #removedAt(sessionId: string): number {
    return removedAt(this.#world.changeLog.whole(this.projectId), sessionId);
  }

  #change(change: Change): void {
    const key = change.kind === "task" ? `${change.session_id}/${change.id}` : change.session_id;
    if (change.type === "removed") {
      for (const [held, { session_id }] of this.#entities) {
        if (session_id === change.session_id) this.#entities.delete(held);
      }
      return;
    }
    const before = this.#entities.get(key);
    // Of a session that is being forgotten some changes are passed over already ([F7]).
    const isForgotten = this.#removedAt(change.session_id) > change.seq;
    if (isForgotten && change.version !== (before?.version ?? 0) + 1) return;
    if (change.version !== (before?.version ?? 0) + 1) {
      throw new Error(`${key} goes from version ${before?.version ?? 0} to ${change.version}`);
    }
    const after = applyChange(before, change);
    if (after === undefined) throw new Error(`change ${change.seq} of ${key} does not apply`);
    this.#entities.set(key, after);
  }

  #leave(): void {
    if (this.#joined !== undefined) this.#joined.project.followers -= 1;
    this.#joined = undefined;
  }

  #forget(): void {
    this.#leave();
    this.#position = undefined;
    this.#entities = new Map();
  }
}
