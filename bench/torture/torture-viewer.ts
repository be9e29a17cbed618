import { setTimeout as sleep } from "node:timers/promises";
import { BENCH_KEY } from "../support/processes.ts";
import { type Ack, ConnectionLost, RawSocket } from "../support/raw-socket.ts";
import { applyLogged, type Fields, type LoggedChange, type ViewerRecord, type ViewerStep } from "./check-history.ts";
import type { Door } from "./torture-agent.ts";

interface Frame {
  readonly project_id: string;
  readonly epoch: string;
  readonly from_seq: number;
  readonly to_seq: number;
  readonly conflated?: boolean;
  readonly changes: readonly (LoggedChange & { at: string })[];
}

const RECONNECT_MS = 30;

/** A viewer as the protocol wants it: follows one project, rejoins with its position, keeps a mirror, notes all steps. */
export class TortureViewer {
  readonly #doors: readonly Door[];
  readonly #name: string;
  readonly #projectId: string;
  readonly #steps: ViewerStep[] = [];
  readonly #mirror = new Map<string, Fields>();
  readonly #modes: { mode: string; at_ms: number }[] = [];
  readonly #snapshotReasons: string[] = [];
  #doorsTried = 0;
  #epoch = "";
  #position = 0;
  #hasJoined = false;
  #isStopping = false;
  #socket: RawSocket | undefined;

  /** @param doors the first one is taken; after a lost connection the next, and so on around */
  constructor(doors: readonly Door[], name: string, projectId: string) {
    this.#doors = doors;
    this.#name = name;
    this.#projectId = projectId;
  }

  get projectId(): string {
    return this.#projectId;
  }

  get position(): number {
    return this.#position;
  }

  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  /** Why the hub answered a join with a snapshot, each time it did. */
  get snapshotReasons(): readonly string[] {
    return this.#snapshotReasons;
  }

  get record(): ViewerRecord {
    const [{ hub }, ...others] = this.#doors as readonly [Door, ...Door[]];
    return {
      ...{ name: this.#name, project_id: this.#projectId, steps: this.#steps, modes: this.#modes },
      ...(others.length === 0 ? { hub } : {}),
      mirror: [...this.#mirror.values()],
    };
  }

  stop(): void {
    this.#isStopping = true;
    this.#socket?.terminate();
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      try {
        const auth = { key: BENCH_KEY, protocol: 1, client: "torture/1" };
        const socket = await RawSocket.connect({
          ...{ url: (this.#doors[this.#doorsTried % this.#doors.length] as Door).url, namespace: "/viewers", auth },
          connectTimeoutMs: 2_000,
        });
        this.#socket = socket;
        await this.#follow(socket);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      }
      this.#doorsTried += 1;
      await sleep(RECONNECT_MS);
    }
  }

  async #follow(socket: RawSocket): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      socket.onClose = resolve;
    });
    // Frames that come before the answer to the join is dealt with wait; the last page of a snapshot comes first.
    let early: Frame[] | undefined = [];
    socket.onEvent = (event, body) => {
      if (event === "project:reset") this.#hasJoined = false;
      if (event === "project:reset") return socket.terminate();
      if (event === "mode") this.#modes.push({ mode: (body as { mode: string }).mode, at_ms: performance.now() });
      if (event !== "changes") return;
      const frame = body as Frame;
      if (early) early.push(frame);
      else this.#apply(frame);
    };
    const since = this.#hasJoined && this.#epoch !== "" ? { since: { epoch: this.#epoch, seq: this.#position } } : {};
    const joined = await socket.request("project:join", { project_id: this.#projectId, ...since });
    if (!joined.ok) return socket.terminate();
    if (joined.mode === "snapshot") {
      if (!(await this.#takeSnapshot(socket, joined))) return socket.terminate();
    } else if ((joined.changes as readonly unknown[]).length > 0) {
      this.#apply({ ...(joined as unknown as Frame), to_seq: Number(joined.seq) });
    }
    this.#hasJoined = true;
    for (const frame of early) this.#apply(frame);
    early = undefined;
    await closed;
  }

  async #takeSnapshot(socket: RawSocket, first: Ack): Promise<boolean> {
    const entities: Fields[] = [];
    for (let page: Ack = first; ; ) {
      entities.push(...((page.sessions ?? []) as Fields[]), ...((page.tasks ?? []) as Fields[]));
      const cursor = page.next_cursor;
      if (cursor === undefined) break;
      page = await socket.request("project:snapshot", { project_id: this.#projectId, cursor });
      if (!page.ok) return false;
    }
    this.#mirror.clear();
    for (const entity of entities) this.#mirror.set(keyOf(entity), entity);
    this.#epoch = String(first.epoch);
    this.#position = Number(first.seq);
    this.#steps.push({ type: "snapshot", at_ms: performance.now(), epoch: this.#epoch, seq: this.#position });
    this.#snapshotReasons.push(String(first.reason));
    return true;
  }

  #apply({ epoch, from_seq, to_seq, conflated, changes }: Frame): void {
    const seen = changes.map(({ seq, kind, id, session_id, version }) => ({ seq, kind, id, session_id, version }));
    const at = { type: "changes", at_ms: performance.now() } as const;
    this.#steps.push({ ...at, epoch, from_seq, to_seq, ...(conflated ? {} : { changes: seen }) });
    this.#epoch = epoch;
    this.#position = to_seq;
    for (const change of changes) {
      const key = keyOf({ session_id: change.session_id, ...(change.kind === "task" ? { task_id: change.id } : {}) });
      const before = this.#mirror.get(key);
      if (before && change.version <= Number(before.version)) continue;
      const after = applyLogged(before, change, change.at);
      if (after) this.#mirror.set(key, after);
    }
  }
}

function keyOf(entity: Fields): string {
  return entity.task_id === undefined ? String(entity.session_id) : `${entity.session_id}/${entity.task_id}`;
}
