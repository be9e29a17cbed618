import type { mongo } from "mongoose";
import { within } from "../patience.ts";

/** What is decoded in one piece, and how long the next documents may take to come. */
const SLICE_MS = 8;
const WAIT_MS = 5_000;

/**
 * Everything that a cursor gives, decoded in slices, between which the reader lets others have their turn. Rejects when
 * the database falls silent.
 */
export async function* inSlices<D extends mongo.Document, T>(
  cursor: mongo.FindCursor<D>,
  decode: (document: D) => T,
): AsyncIterable<readonly T[]> {
  try {
    for (;;) {
      const first = await within(WAIT_MS, cursor.next());
      if (first === null) return;
      let slice = [decode(first)];
      let until = performance.now() + SLICE_MS;
      while (cursor.bufferedCount() > 0) {
        slice.push(...cursor.readBufferedDocuments(1).map(decode));
        if (performance.now() < until) continue;
        yield slice;
        slice = [];
        until = performance.now() + SLICE_MS;
      }
      if (slice.length > 0) yield slice;
    }
  } finally {
    await cursor.close();
  }
}
