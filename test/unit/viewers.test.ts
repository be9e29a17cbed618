import { expect, test } from "vitest";
import type { Entry } from "../../server/domain/records.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { followProject } from "../../server/realtime/handlers/follow-project.ts";
import { type JoinProjectDeps, joinProject, leaveProject } from "../../server/realtime/handlers/join-project.ts";
import { Rooms } from "../../server/realtime/rooms.ts";
import { SlowConsumers } from "../../server/realtime/slow-consumers.ts";
import { ViewerConnection } from "../../server/realtime/viewer-connection.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf, QUIET } from "../support/entries.ts";
import { FakeRooms, SlowViewer } from "../support/slow-viewer.ts";
import { VirtualTime } from "../support/virtual-time.ts";

interface Stage {
  readonly hub: Core;
  readonly time: VirtualTime;
  readonly deps: JoinProjectDeps;
  readonly rooms: Rooms;
  readonly viewer: SlowViewer;
  /** Whether the hub drains. */
  readonly drain: { isOn: boolean };
}

const BUDGET = 500;
const CONFLATED_BYTES = 4_000;

/** A hub with session s in project p, its rooms, and a viewer that reads when it is told to. */
function play(work: (stage: Stage) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  const ports = { changeLog: new MemoryChangeLog(), projections: new MemoryProjections() };
  const hub = new Core({ hubId: "h1", time, bounds: { slowPassMs: 5, conflatedBytes: CONFLATED_BYTES }, ...ports });
  const run = async () => {
    const emitter = new FakeRooms();
    const common = { ...hub.following, ...ports, clock: time, log: QUIET };
    const slow = new SlowConsumers({ ...common, queueBytes: BUDGET });
    const rooms = new Rooms({ ...common, emitter });
    hub.projects.onEntry((project, entry) => rooms.onEntry(project, entry));
    const drain = { isOn: false };
    const { limits } = hub.following;
    const deps = { ...common, limits, snapshots: hub.snapshots, following: hub.following, rooms };
    const world = { rooms: emitter, slow, deps: { ...deps, isDraining: () => drain.isOn }, budget: BUDGET };
    await hub.answer("p", openOf());
    await work({ hub, time, deps: world.deps, rooms, viewer: new SlowViewer(world, "viewer"), drain });
    rooms.stop();
    slow.stop();
    hub.stop();
  };
  return time.run(() => 0.5, 60_000, run);
}

async function readAll(viewer: SlowViewer): Promise<void> {
  while (await viewer.read());
}

test("[X4] [F1] a viewer that was behind while only kinds of later releases changed is moved over them", () =>
  play(async ({ hub, time, viewer }) => {
    await viewer.join();
    await readAll(viewer);
    await hub.answer("p", publishOf(1, [{ kind: "session", metadata: { text: "x".repeat(BUDGET) } }]));
    const project = await hub.projects.get("p");
    const { epoch, seq, at } = project.head;
    const actor = { kind: "agent", id: "a" };
    const artifact = { seq: seq + 1, kind: "artifact", id: "f", session_id: "s", version: 1, type: "attached", actor };
    const entry = { project_id: "p", from_seq: seq + 1, to_seq: seq + 1, epoch, hub_id: "h2", at, changes: [artifact] };
    hub.projects.apply(project, entry as unknown as Entry, 100);
    await readAll(viewer);
    await time.sleep(20);
    await readAll(viewer);
    expect(viewer.mirror.position).toEqual({ epoch, seq: seq + 1 });
    expect(viewer.seen).toEqual({ conflated: 1, resets: 0, cuts: 0 });
  }));

test("[F22] the bound of a conflated frame is one of bytes, not of characters", () =>
  play(async ({ hub, time, viewer }) => {
    await viewer.join();
    await readAll(viewer);
    const tell = async (op: number, text: string) =>
      hub.answer("p", publishOf(op, [{ kind: "session", metadata: { text } }]));
    await tell(1, "x".repeat(BUDGET));
    await tell(2, "€".repeat(CONFLATED_BYTES / 2));
    await readAll(viewer);
    await time.sleep(20);
    await readAll(viewer);
    expect(viewer.seen).toEqual({ conflated: 0, resets: 1, cuts: 0 });
  }));

test("[V17] a leave that is handled between a join's answer and its ack is the last word", () =>
  play(async ({ hub, deps, rooms }) => {
    const sent: string[] = [];
    const connection = new ViewerConnection("v", { principal: { role: "viewer" } } as never, {
      outbox: { isDrained: true, isBlocked: false, bytes: 0 },
      isSlow: () => false,
      send: (event) => sent.push(event),
      reset: () => sent.push("project:reset"),
      goesOnAfterReset: false,
      enterRooms: (names) => sent.push(...names),
      leaveRoom: () => {},
    });
    const handled = await joinProject(deps, connection, { project_id: "p", heartbeats: false });
    expect(handled.ok).toBe(true);
    leaveProject(rooms, connection, { project_id: "p" });
    if (handled.ok) handled.afterAck?.();
    await hub.answer("p", publishOf(1, [{ kind: "session", metadata: { n: 1 } }]));
    expect(sent).toEqual([]);
    expect([connection.joined.size, connection.joining.size]).toEqual([0, 0]);
  }));

test("[R65] a stream that was prepared when the drain began is refused: nobody would ask it to move", () =>
  play(async ({ deps, drain }) => {
    const request = { projectId: "p", since: undefined, heartbeats: false, principal: {} as never };
    const preparing = followProject({ ...deps, streams: {} as never, admit: () => undefined }, request);
    drain.isOn = true;
    expect(await preparing).toMatchObject({ ok: false, refusal: { code: "DRAINING" } });
  }));
