import { applyChange } from "../shared/apply-change.ts";
import type { Change, Session, Task } from "../shared/entities.ts";
import type { ChangesFrame, PositionFrame } from "../shared/messages/frames.ts";
import type { JoinedWithReplay, JoinedWithSnapshot, ProjectJoined } from "../shared/messages/project-join.ts";
import type { SnapshotPage } from "../shared/messages/project-snapshot.ts";
import type { Position } from "../shared/position.ts";

/**
 * What one change did here. `before` is undefined for a new entity, `after` for one that was removed or is outside of the
 * mirror.
 */
export type MirrorChange =
  | {
      readonly change: Change & { kind: "session" };
      readonly before: Session | undefined;
      readonly after: Session | undefined;
    }
  | { readonly change: Change & { kind: "task" }; readonly before: Task | undefined; readonly after: Task | undefined };

/** What the mirror needs next. */
export type Verdict =
  /** In step; `changes` were applied just now. */
  | { readonly next: "go on"; readonly changes: readonly MirrorChange[] }
  /** The whole content was replaced. */
  | {
      readonly next: "replaced";
      readonly reason: JoinedWithSnapshot["reason"];
      /** Of the snapshot. */
      readonly at: Position;
      /** Applied on top of the snapshot. */
      readonly changes: readonly MirrorChange[];
      /** And yet there was a hole behind it. */
      readonly rejoin: string | undefined;
    }
  | { readonly next: "page"; readonly cursor: string }
  /** A hole, or an answer that does not continue what is held: join again with `since()`. */
  | { readonly next: "rejoin"; readonly why: string };

type Phase =
  /** Frames belong to a former join, or to none. */
  | { readonly name: "joining" }
  /** Collects the pages of a snapshot beside the old content, and the frames that come meanwhile. */
  | {
      readonly name: "paging";
      readonly pages: Content;
      readonly reason: JoinedWithSnapshot["reason"];
      readonly frames: ChangesFrame[];
    }
  | { readonly name: "live" };

interface Content {
  readonly position: Position;
  readonly sessions: Map<string, Session>;
  readonly tasks: Map<string, Task>;
}

/** Frames kept while pages are fetched; more than a page ever takes to come. Beyond, the join starts again. */
const MAX_BUFFERED_CHANGES = 50_000;

/** Hubs leave out of snapshots what ended longer ago, so a mirror that is never joined anew forgets it likewise. */
const ENDED_WINDOW_MS = 24 * 3_600_000;
const PRUNE_EVERY_MS = 10 * 60_000;

/** Key of `tasks`: two sessions may both have a task of that id. */
export function taskMapKey(sessionId: string, taskId: string): string {
  return `${sessionId}/${taskId}`;
}

/**
 * A project's sessions and tasks as of a position, kept true by proving that each frame continues the one before.
 * Pure: messages in, verdict out. It is true at every moment as of `position`, also between a gap and the next join.
 */
export class Mirror {
  #content: Content;
  #phase: Phase = { name: "joining" };
  /** The hub said that what is held cannot be continued. */
  #mustForget = false;
  #isComplete: boolean;
  #prunedAt = 0;

  /** With a position and no content it follows from there, but holds only what it has seen since. */
  constructor(since?: Position) {
    this.#content = emptyContent(since ?? { epoch: "", seq: 0 });
    this.#isComplete = since === undefined || since.seq === 0;
  }

  get position(): Position {
    return this.#content.position;
  }

  get sessions(): ReadonlyMap<string, Session> {
    return this.#content.sessions;
  }

  get tasks(): ReadonlyMap<string, Task> {
    return this.#content.tasks;
  }

  get isLive(): boolean {
    return this.#phase.name === "live";
  }

  /** Holds every entity of the project's window, not only those that changed since a given position. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** To be called with every join request; the answer is what to send as `since`. */
  beginJoin(): Position | undefined {
    this.#phase = { name: "joining" };
    return this.#mustForget || this.#content.position.epoch === "" ? undefined : this.#content.position;
  }

  joined(answer: ProjectJoined): Verdict {
    if (this.#phase.name !== "joining") return { next: "go on", changes: [] };
    return answer.mode === "snapshot" ? this.#beginSnapshot(answer) : this.#replay(answer);
  }

  /** A page that does not belong to the snapshot begins it anew. */
  page(page: SnapshotPage): Verdict {
    if (this.#phase.name !== "paging") return { next: "go on", changes: [] };
    const { pages } = this.#phase;
    if (page.epoch !== pages.position.epoch || page.seq !== pages.position.seq) {
      return this.#rejoin("a page of another snapshot");
    }
    addTo(pages, page);
    return page.next_cursor === undefined ? this.#endSnapshot(this.#phase) : { next: "page", cursor: page.next_cursor };
  }

  frame(frame: ChangesFrame): Verdict {
    switch (this.#phase.name) {
      case "joining":
        return { next: "go on", changes: [] };
      case "paging":
        this.#phase.frames.push(frame);
        return countChanges(this.#phase.frames) > MAX_BUFFERED_CHANGES
          ? this.#rejoin("too much happened while the snapshot came")
          : { next: "go on", changes: [] };
      case "live":
        return this.#apply(frame);
    }
  }

  /** The hub's word on the last frame that it sent. */
  positionTold(told: PositionFrame): Verdict {
    const { epoch, seq } = this.#content.position;
    if (this.#phase.name !== "live" || (told.epoch === epoch && told.seq === seq))
      return { next: "go on", changes: [] };
    return this.#rejoin(`the hub is at ${told.epoch}:${told.seq}, this mirror at ${epoch}:${seq}`);
  }

  reset(): Verdict {
    // Meant for a former join; if it still matters, the answer that is on its way takes it into account.
    if (this.#phase.name === "joining") return { next: "go on", changes: [] };
    this.#mustForget = true;
    return this.#rejoin("the hub asked for it");
  }

  /** No frame counts until the next join. */
  detach(): void {
    this.#phase = { name: "joining" };
  }

  #rejoin(why: string): Verdict {
    this.#phase = { name: "joining" };
    return { next: "rejoin", why };
  }

  #beginSnapshot(answer: JoinedWithSnapshot): Verdict {
    const pages = emptyContent({ epoch: answer.epoch, seq: answer.seq });
    addTo(pages, answer);
    const phase: Phase = { name: "paging", pages, reason: answer.reason, frames: [] };
    if (answer.next_cursor === undefined) return this.#endSnapshot(phase);
    this.#phase = phase;
    return { next: "page", cursor: answer.next_cursor };
  }

  #endSnapshot(phase: Phase & { name: "paging" }): Verdict {
    this.#content = phase.pages;
    this.#phase = { name: "live" };
    this.#mustForget = false;
    this.#isComplete = true;
    const replaced = { next: "replaced", reason: phase.reason, at: this.position } as const;
    const changes: MirrorChange[] = [];
    for (const frame of phase.frames) {
      const verdict = this.#apply(frame);
      if (verdict.next === "rejoin") return { ...replaced, changes, rejoin: verdict.why };
      if (verdict.next === "go on") changes.push(...verdict.changes);
    }
    return { ...replaced, changes, rejoin: undefined };
  }

  #replay(answer: JoinedWithReplay): Verdict {
    const { epoch, seq } = this.#content.position;
    if (answer.epoch !== epoch || answer.from_seq > seq + 1 || answer.seq < seq) {
      this.#mustForget = true;
      return this.#rejoin("the replay does not continue what is held");
    }
    this.#phase = { name: "live" };
    return { next: "go on", changes: this.#applyAll(answer.changes, { epoch, seq: answer.seq }) };
  }

  #apply(frame: ChangesFrame): Verdict {
    const { epoch, seq } = this.#content.position;
    // The first change of a project that had none when it was joined begins its epoch.
    if (frame.epoch !== epoch && !(epoch === "" && seq === 0)) {
      this.#mustForget = true;
      return this.#rejoin(`the numbering began anew: epoch ${frame.epoch} after ${epoch}`);
    }
    if (frame.from_seq > seq + 1) return this.#rejoin(`changes ${seq + 1} to ${frame.from_seq - 1} did not come`);
    if (frame.to_seq <= seq) return { next: "go on", changes: [] };
    return { next: "go on", changes: this.#applyAll(frame.changes, { epoch: frame.epoch, seq: frame.to_seq }) };
  }

  #applyAll(changes: readonly Change[], to: Position): MirrorChange[] {
    const from = this.#content.position.seq;
    const applied: MirrorChange[] = [];
    for (const change of changes) {
      // Those up to `from` are in the content already, even where their entity is not (it ended long ago).
      if (change.seq <= from) continue;
      const done = this.#applyOne(change);
      if (done !== undefined) applied.push(done);
    }
    this.#content = { ...this.#content, position: to };
    const last = changes.at(-1);
    if (last !== undefined) this.#prune(Date.parse(last.at));
    return applied;
  }

  /** Of a kind that a later release of the hub knows, only the position speaks ([F26]). */
  #applyOne(change: Change): MirrorChange | undefined {
    if (change.kind === "session" && change.type === "removed") return { change, ...this.#remove(change.id) };
    if (change.kind === "session") return { change, ...applyTo(this.#content.sessions, change.id, change) };
    if (change.kind !== "task") return undefined;
    return { change, ...applyTo(this.#content.tasks, taskMapKey(change.session_id, change.id), change) };
  }

  /** A session that was forgotten takes its tasks along. */
  #remove(sessionId: string): { readonly before: Session | undefined; readonly after: undefined } {
    const { sessions, tasks } = this.#content;
    const before = sessions.get(sessionId);
    sessions.delete(sessionId);
    for (const [key, task] of tasks) if (task.session_id === sessionId) tasks.delete(key);
    return { before, after: undefined };
  }

  /** By the hub's time, which the changes carry. */
  #prune(now: number): void {
    if (now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    const isOver = (entity: Session | Task) =>
      entity.ended_at !== undefined && now - Date.parse(entity.ended_at) > ENDED_WINDOW_MS;
    const { sessions, tasks } = this.#content;
    const gone = new Set<string>();
    for (const [id, session] of sessions) if (isOver(session)) gone.add(id);
    for (const id of gone) sessions.delete(id);
    for (const [key, task] of tasks) if (isOver(task) || gone.has(task.session_id)) tasks.delete(key);
  }
}

function emptyContent(position: Position): Content {
  return { position, sessions: new Map(), tasks: new Map() };
}

function addTo(
  content: Content,
  part: { readonly sessions: readonly Session[]; readonly tasks: readonly Task[] },
): void {
  for (const session of part.sessions) content.sessions.set(session.session_id, session);
  for (const task of part.tasks) content.tasks.set(taskMapKey(task.session_id, task.task_id), task);
}

function applyTo<E extends Session | Task>(map: Map<string, E>, key: string, change: Change) {
  const before = map.get(key);
  const after = applyChange<E>(before, change) ?? before;
  if (after !== undefined && after !== before) map.set(key, after);
  return { before, after };
}

function countChanges(frames: readonly ChangesFrame[]): number {
  return frames.reduce((sum, frame) => sum + frame.changes.length, 0);
}
