import { expect, test } from "vitest";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { Rooms } from "../../server/realtime/rooms.ts";
import { SlowConsumers } from "../../server/realtime/slow-consumers.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf, QUIET } from "../support/entries.ts";
import { Random } from "../support/random.ts";
import { FakeRooms, SlowViewer } from "../support/slow-viewer.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const BUDGET = 3_000;
const FRAME_BYTES = 2_000;
const SESSIONS = ["s1", "s2", "s3", "s4", "s5", "s6"];

/** Small, so that each is met in a short history. */
const BOUNDS = {
  recentChanges: 12,
  recentBytes: 6_000,
  cachedFamilies: 3,
  familiesPerLoad: 2,
  headPollMs: 20,
  positionEveryMs: 100,
  slowPassMs: 5,
  slowConsumerMs: 400,
  conflatedEntities: 8,
};

/** Viewers of one hub that read fast, slowly or not at all, while two hubs write. */
async function play(seed: number): Promise<Record<"conflated" | "resets" | "cuts", number>> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const changeLog = new MemoryChangeLog();
  const projections = new MemoryProjections();
  const bounds = { ...BOUNDS, conflateSliceMs: random.chance(0.5) ? 0 : 10 };
  const ports = { changeLog: slowed(changeLog, time, random), projections: slowed(projections, time, random) };
  const coreOf = (hubId: string) => new Core({ hubId, time, bounds, ...ports });
  return time.run(
    () => random.next(),
    600_000,
    async () => {
      const [hub, other] = [coreOf("h1"), coreOf("h2")];
      const fake = new FakeRooms();
      const common = { ...hub.following, ...ports, clock: time, log: QUIET };
      const slow = new SlowConsumers({ ...common, queueBytes: BUDGET });
      const rooms = new Rooms({ ...common, emitter: fake });
      hub.projects.onEntry((project, entry) => rooms.onEntry(project, entry));
      const deps = {
        following: hub.following,
        snapshots: hub.snapshots,
        limits: hub.following.limits,
        log: QUIET,
        rooms,
        isDraining: () => false,
      };
      const world = { rooms: fake, slow, deps, budget: BUDGET };
      const viewers = Array.from({ length: 4 }, (_, index) => new SlowViewer(world, `viewer ${index}`));
      let isOver = false;

      const reading = viewers.map(async (viewer) => {
        let pace = 0;
        while (!isOver) {
          if (random.chance(0.02)) pace = random.pick([0, 0, 3, 30, 300, 1_000]);
          if (random.chance(0.005)) viewer.cut();
          if (!viewer.isConnected || random.chance(0.003)) await viewer.join();
          if (!(await viewer.read())) await time.sleep(1 + random.next() * 4);
          if (pace > 0) await time.sleep(pace * random.next());
          expect(viewer.excess(FRAME_BYTES)).toBeLessThanOrEqual(0);
        }
      });
      const writing = SESSIONS.map(async (sessionId, index) => {
        const writer = random.chance(0.5) ? hub : other;
        await writer.answer("p", openOf(sessionId));
        for (let op = 1; op <= 150; op++) {
          await time.sleep(random.next() * (random.chance(0.05) ? 400 : 12));
          const metadata = { op, text: "x".repeat(random.integer(1, 200)), index };
          const taskId = `t${random.integer(1, 3)}`;
          const task = { kind: "task", task_id: taskId, title: taskId, metadata } as const;
          const edits = [{ kind: "session", metadata } as const, ...(random.chance(0.3) ? [task] : [])];
          await writer.answer("p", publishOf(op, edits, { session_id: sessionId }));
        }
      });
      await Promise.all(writing);
      isOver = true;
      await Promise.all(reading);

      const project = await hub.projects.get("p");
      await hub.projects.catchUp(project);
      for (const viewer of viewers) {
        for (let left = 200; left > 0 && viewer.mirror.position.seq < project.head.seq; left--) {
          if (!viewer.isConnected) await viewer.join();
          while (await viewer.read());
          await time.sleep(20);
        }
      }
      const { epoch, seq, sessions, tasks } = await hub.snapshots.first(project);
      const truth = new Map([...sessions, ...tasks].map((entity) => [keyOf(entity), entity]));
      for (const { mirror } of viewers) {
        expect(mirror.position).toEqual({ epoch, seq });
        const held = [...mirror.sessions.values(), ...mirror.tasks.values()];
        expect(new Map(held.map((entity) => [keyOf(entity), entity]))).toEqual(truth);
      }
      slow.stop();
      rooms.stop();
      hub.stop();
      other.stop();
      const sum = (what: "conflated" | "resets" | "cuts") => viewers.reduce((all, { seen }) => all + seen[what], 0);
      return { conflated: sum("conflated"), resets: sum("resets"), cuts: sum("cuts") };
    },
  );
}

/** Every call takes a moment, in which others go on. */
function slowed<P extends object>(port: P, time: VirtualTime, random: Random): P {
  return new Proxy(port, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]) => {
        await time.sleep(random.next() * 4);
        const answer: unknown = await member.apply(target, args);
        await time.sleep(random.next() * 4);
        return answer;
      };
    },
  });
}

function keyOf(entity: { readonly session_id: string; readonly task_id?: string }): string {
  return `${entity.session_id}/${entity.task_id ?? ""}`;
}

const SEEDS = Array.from({ length: Number(process.env.SLOW_VIEWER_SEEDS ?? 12) }, (_, index) => index + 1);

test("[F1] [F14] [F15] [F22] viewers that read fast and slowly by turns all end with the truth, without a hole or a repeat", async () => {
  const seen = { conflated: 0, resets: 0, cuts: 0 };
  for (const seed of SEEDS) {
    const one = await play(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    seen.conflated += one.conflated;
    seen.resets += one.resets;
    seen.cuts += one.cuts;
  }
  // A history in which nobody was slow proves nothing.
  expect(Math.min(seen.conflated, seen.resets, seen.cuts)).toBeGreaterThan(0);
});
