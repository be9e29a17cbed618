import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { UpgradeQueue } from "../../server/realtime/upgrade-queue.ts";
import { nextTurn } from "../../server/timing.ts";

const BOUNDS = { upgradesPerTurn: 2, upgradeWaitMs: 2_000 };

test("[H18] so many upgrades a turn, in order, and none for those that went away", async () => {
  const queue = new UpgradeQueue({ clock: { monotonic: () => 0 }, bounds: BOUNDS });
  const upgraded: number[] = [];
  const sockets = Array.from({ length: 6 }, (_, index) => {
    const socket = new PassThrough();
    queue.push(
      socket,
      () => upgraded.push(index),
      () => {},
    );
    return socket;
  });
  // Nobody but the queue listens to it now.
  sockets[1]?.destroy(new Error("ECONNRESET"));
  expect(queue.size).toBe(6);
  await nextTurn();
  expect(upgraded).toEqual([0, 2]);
  await nextTurn();
  expect(upgraded).toEqual([0, 2, 3, 4]);
  queue.stop();
  await nextTurn();
  expect(upgraded).toEqual([0, 2, 3, 4]);
  expect(sockets[5]?.destroyed).toBe(true);
  expect(sockets[4]?.listenerCount("error")).toBe(0);
});

test("[H18] who has waited for too long is refused, and those behind it need not wait for that", async () => {
  let now = 0;
  const queue = new UpgradeQueue({ clock: { monotonic: () => now }, bounds: BOUNDS });
  const upgraded: number[] = [];
  const refused: number[] = [];
  const push = (index: number) =>
    queue.push(
      new PassThrough(),
      () => upgraded.push(index),
      () => refused.push(index),
    );
  for (const index of [0, 1, 2]) push(index);
  now = 2_001;
  push(3);
  await nextTurn();
  expect([upgraded, refused, queue.size]).toEqual([[3], [0, 1, 2], 0]);
});
