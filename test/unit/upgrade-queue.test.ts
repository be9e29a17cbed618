import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { UpgradeQueue } from "../../server/realtime/upgrade-queue.ts";
import { nextTurn } from "../../server/timing.ts";

test("[H18] so many upgrades a turn, in order, and none for those that went away", async () => {
  const queue = new UpgradeQueue({ upgradesPerTurn: 2 });
  const upgraded: number[] = [];
  const sockets = Array.from({ length: 6 }, (_, index) => {
    const socket = new PassThrough();
    queue.push(socket, () => upgraded.push(index));
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
