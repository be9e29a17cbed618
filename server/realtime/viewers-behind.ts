import type { ChangesFrame } from "../../shared/messages/frames.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import { conflate } from "../following/conflate.ts";
import { type LoadedFamilies, loadFamilies } from "../following/states.ts";
import { TouchedEntities } from "../following/touched-entities.ts";
import type { ChangeLog, Logger, Projections } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import type { ViewerConnection } from "./viewer-connection.ts";

interface Options {
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What becomes of viewers that can read again; to be done in the same turn. */
export interface Return {
  /** They are sent the frame, and from now on every entry. */
  readonly enter: (project: Project, viewers: readonly ViewerConnection[], frame: ChangesFrame) => void;
  /** What they missed is too much for a frame. */
  readonly reset: (project: Project, viewer: ViewerConnection) => void;
}

/** The viewers of one project that are not sent its entries for now. */
interface Laggards {
  readonly touched: TouchedEntities;
  /** The last seq that each was sent. */
  readonly sent: Map<ViewerConnection, number>;
  /** States that frames need and the writer's cache does not have. */
  loaded: readonly LoadedFamilies[];
  isLoading: boolean;
}

/**
 * Viewers whose queue was full when the next frame came. Nothing is kept for them but the names of what changed; when
 * they have read what waits, one frame with the newest states brings them back.
 */
export class ViewersBehind {
  /** Viewers that were not sent a frame, came back with one conflated frame, or had to join anew; since the start. */
  readonly counts = { behind: 0, conflated: 0, reset: 0 };
  readonly #options: Options;
  readonly #return: Return;
  readonly #projects = new Map<Project, Laggards>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: Options, back: Return) {
    this.#options = options;
    this.#return = back;
    this.#timer = setInterval(() => this.#bringBack(), options.bounds.slowPassMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#projects.clear();
  }

  /** Stands at the entry before this one, which it will not be sent. */
  add(project: Project, viewer: ViewerConnection, next: Entry): void {
    const seq = next.from_seq - 1;
    let laggards = this.#projects.get(project);
    if (laggards === undefined) {
      const touched = new TouchedEntities({ epoch: next.epoch, seq }, this.#options.bounds.conflatedEntities);
      laggards = { touched, sent: new Map(), loaded: [], isLoading: false };
      this.#projects.set(project, laggards);
    }
    laggards.sent.set(viewer, seq);
    this.counts.behind += 1;
  }

  /** To be called with every entry, after those who do not get it were added. */
  note(project: Project, entry: Entry): void {
    this.#projects.get(project)?.touched.note(entry);
  }

  viewersOf(project: Project): readonly ViewerConnection[] {
    return [...(this.#projects.get(project)?.sent.keys() ?? [])];
  }

  remove(project: Project, viewer: ViewerConnection): void {
    const laggards = this.#projects.get(project);
    if (laggards?.sent.delete(viewer) && laggards.sent.size === 0) this.#projects.delete(project);
  }

  /** Who is left when the time is over comes first the next time. */
  #bringBack(): void {
    const isOver = this.#timeIsOver();
    for (const [project, laggards] of this.#projects) {
      if (this.#bringBackTo(project, laggards, isOver)) continue;
      if (this.#projects.delete(project) && laggards.sent.size > 0) this.#projects.set(project, laggards);
      return;
    }
  }

  /** For so long that the loop stays free. */
  #timeIsOver(): () => boolean {
    const until = performance.now() + this.#options.bounds.conflateSliceMs;
    return () => performance.now() > until;
  }

  /** False when the time is over. Viewers that were sent the same need the same frame: it is made and encoded once. */
  #bringBackTo(project: Project, laggards: Laggards, isOver: () => boolean): boolean {
    laggards.loaded = laggards.loaded.filter((families) => families.moveToHead());
    for (const [seq, viewers] of readyBySeq(laggards)) {
      this.#bringBackFrom(project, laggards, seq, viewers);
      if (isOver()) return false;
    }
    if (!laggards.isLoading) laggards.loaded = [];
    return true;
  }

  #bringBackFrom(project: Project, laggards: Laggards, seq: number, viewers: readonly ViewerConnection[]): void {
    const { head } = project;
    const touched = laggards.touched.after(seq, head);
    const familyOf = (sessionId: string) =>
      project.peek(sessionId) ?? laggards.loaded.find((families) => families.has(sessionId))?.get(sessionId);
    const frame = touched && conflate({ projectId: project.id, seq, head, touched, familyOf });
    const { conflatedBytes } = this.#options.bounds;
    if (frame instanceof Set && [...frame].every((sessionId) => familyOf(sessionId) === undefined)) {
      if (!laggards.isLoading) void this.#load(project, laggards, [...frame]);
    } else if (frame === undefined || frame instanceof Set || byteLengthOf(frame.changes) > conflatedBytes) {
      // Forgotten, too large, or logged and yet not there: a database that was cut back.
      this.counts.reset += viewers.length;
      for (const viewer of viewers) this.#return.reset(project, viewer);
    } else {
      this.counts.conflated += viewers.length;
      for (const viewer of viewers) this.remove(project, viewer);
      this.#return.enter(project, viewers, frame);
    }
  }

  /** What it brings counts in the same turn: later, other sessions may be missing. */
  async #load(project: Project, laggards: Laggards, missing: readonly string[]): Promise<void> {
    const { bounds, log } = this.#options;
    laggards.isLoading = true;
    try {
      const sessionIds = missing.slice(0, bounds.familiesPerLoad);
      const families = await loadFamilies(project, sessionIds, this.#options);
      laggards.loaded = [...laggards.loaded, families];
    } catch (error) {
      log.debug({ err: error, project_id: project.id }, "states not read, will be tried again");
      await pause(bounds.unknownRetryLastMs);
    }
    laggards.isLoading = false;
    if (this.#projects.get(project) === laggards) this.#bringBackTo(project, laggards, this.#timeIsOver());
  }
}

function byteLengthOf(changes: ChangesFrame["changes"]): number {
  return Buffer.byteLength(JSON.stringify(changes));
}

function readyBySeq({ sent }: Laggards): Map<number, ViewerConnection[]> {
  const ready = new Map<number, ViewerConnection[]>();
  for (const [viewer, seq] of sent) {
    if (!viewer.link.outbox.isDrained) continue;
    const others = ready.get(seq);
    if (others === undefined) ready.set(seq, [viewer]);
    else others.push(viewer);
  }
  return ready;
}
