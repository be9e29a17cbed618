import { deepEqual } from "node:assert/strict";
import { BOUNDS } from "../../server/bounds.ts";
import type { Entry } from "../../server/domain/records.ts";
import { Checkpoints } from "../../server/history/checkpoints.ts";
import { buildSnapshotAt } from "../../server/history/project-at.ts";
import type { Base, ChangeLog, Projections } from "../../server/ports.ts";
import { sessionKey } from "../../shared/ids.ts";
import type { Position } from "../../shared/position.ts";
import type { World } from "./history.ts";
import { foldAll, newestRemovals, withoutForgotten } from "./lives.ts";

const OPERATOR = { kind: "operator", id: "op" } as const;

/** Somebody who has sessions forgotten, one or a whole project, final or not, and does not look how it goes on. */
export async function purge(world: World, orders: number): Promise<void> {
  const { random, time } = world;
  for (let left = orders; left > 0; left--) {
    await time.sleep(random.next() * 150);
    const hub = world.someHub();
    const sessionId = random.pick(["s1", "s2", "s3", "s4"]);
    const project = { project_id: world.someProject(), actor: OPERATOR, request_id: `purge ${left}` };
    const order = random.chance(0.3) ? project : { ...project, session_id: sessionId };
    await world.orNever(hub, hub.purges.begin(order)).catch((error: unknown) => {
      if (!String(error).includes("simulated")) throw error;
    });
  }
}

interface Ports {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
}

/** Somebody who looks at the past all the time, and remembers states from earlier looks, as a hub does. */
export class Historian {
  // Whatever has ended is shown, however long ago.
  readonly #bounds = { ...BOUNDS, checkpointChanges: 3, snapshotEndedWindowMs: 10 ** 12 } as unknown as typeof BOUNDS;
  readonly #checkpoints = new Checkpoints(this.#bounds);

  async run(world: World, isOver: { readonly value: boolean }): Promise<void> {
    const { random, time } = world;
    while (!isOver.value) {
      await time.sleep(random.next() * 60);
      const hub = world.someHub();
      await world.orNever(hub, this.#look(world, hub.core.repair)).catch((error: unknown) => {
        if (!String(error).includes("simulated")) throw error;
      });
    }
  }

  async #look(world: World, ports: Ports): Promise<void> {
    const projectId = world.someProject();
    const head = await ports.changeLog.readHead(projectId);
    if (head !== undefined) await this.stateAt(projectId, { ...head, seq: world.random.integer(1, head.seq) }, ports);
  }

  /** What `?at=` answers. */
  async stateAt(projectId: string, { epoch, seq }: Position, { changeLog, projections, base }: Ports) {
    const { logStart = 1, forgotten = 0 } = (await projections.readMark(projectId)) ?? {};
    const place = { seq, time: "1970-01-02T00:00:00.000Z", epoch, logStart, forgotten };
    const ports = { changeLog, base, checkpoints: this.#checkpoints, isOver: () => false, bounds: this.#bounds };
    return buildSnapshotAt(projectId, place, ports);
  }
}

/** [D26] [D27] [R73] Nothing is left of what was removed, but that it was. */
export async function checkForgotten(projectId: string, entries: readonly Entry[], world: World): Promise<void> {
  const { changeLog, projections, base, beats } = world;
  deepEqual(changeLog.entries(projectId), withoutForgotten(entries).slice(-changeLog.entries(projectId).length));
  for (const [sessionId, removedAt] of newestRemovals(entries)) {
    for (const documents of [projections, base]) {
      const { session, tasks } = (await documents.readFamilies(projectId, [sessionId])).get(sessionId) ?? {};
      const left = [session, ...(tasks?.values() ?? [])].find(
        (record) => (record?.appliedSeq ?? removedAt) < removedAt,
      );
      if (left !== undefined) throw new Error(`removed at ${removedAt}, but there is ${JSON.stringify(left)}`);
    }
    if (foldAll(entries).get(sessionId)?.session !== undefined) continue;
    const rows = await beats.read([sessionKey(projectId, sessionId)]);
    if (rows.size > 0) throw new Error(`${sessionId} was removed, but has a row of heartbeats`);
  }
}
