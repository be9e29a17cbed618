import { write } from "node:fs";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Passes a child's output on to a file descriptor, byte for byte and at once, and shows every chunk to `look`.
 * Settles at the end of the stream, or when nobody reads the descriptor any more; then the child's next write
 * fails as it would without anything between.
 *
 * With `fs.write`, not with `process.stdout`: that one blocks this process while a slow reader takes its time, and no
 * heartbeat would leave. One chunk is under way at a time, so the child is slowed down by its reader as ever.
 */
export async function pump(from: Readable, fd: number, look: (chunk: Buffer) => void): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      look(chunk);
      await writeAll(fd, chunk);
    }
  } catch {
    // Nobody reads any more (EPIPE), or the disk is full: the child finds out by its own next write.
    from.destroy();
  }
}

async function writeAll(fd: number, chunk: Buffer): Promise<void> {
  let written = 0;
  while (written < chunk.length) {
    const result = await writeSome(fd, chunk, written);
    if (typeof result === "number") written += result;
    // Somebody made the descriptor non-blocking; its reader is slow.
    else if (result.code === "EAGAIN") await sleep(5);
    else throw result;
  }
}

function writeSome(fd: number, chunk: Buffer, offset: number): Promise<number | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    write(fd, chunk, offset, chunk.length - offset, null, (error, count) => resolve(error ?? count));
  });
}
