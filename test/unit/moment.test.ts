import { expect, test } from "vitest";
import { findPlace } from "../../server/history/moment.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { ChangeLog } from "../../server/ports.ts";
import { creation, entryOf } from "../support/entries.ts";
import { Random } from "../support/random.ts";
import { withMethods } from "../support/scripted.ts";

const START = Date.parse("2026-11-22T06:00:00.000Z");
const timeOf = (ms: number) => new Date(START + ms).toISOString();

/** A log with an entry of so many changes at each time; how often its times were looked up. */
async function logOf(times: readonly number[], changesOf: () => number) {
  const changeLog = new MemoryChangeLog();
  const ends: { readonly seq: number; readonly ms: number }[] = [];
  let seq = 0;
  for (const ms of times) {
    const changes = Array.from({ length: changesOf() }, () => creation(++seq, `s${seq}`));
    await changeLog.append([entryOf(changes, { at: timeOf(ms) })]);
    ends.push({ seq, ms });
  }
  let reads = 0;
  const counted = withMethods<ChangeLog>(changeLog, (real) => ({
    readSpan: (projectId, at) => {
      reads += 1;
      return real.readSpan(projectId, at);
    },
  }));
  const seqAt = async (ms: number) => {
    reads = 0;
    const place = await findPlace(
      "p",
      { time: timeOf(ms) },
      { changeLog: counted, projections: new MemoryProjections() },
    );
    return { seq: place.ok ? place.value.seq : undefined, reads };
  };
  const expected = (ms: number) => ends.findLast((end) => end.ms <= ms)?.seq ?? 0;
  return { seqAt, expected };
}

test("[R34] a time is the last change made at it or before, however unevenly changes came", async () => {
  const random = new Random(7);
  for (let round = 0; round < 30; round++) {
    let now = 0;
    const times = Array.from({ length: random.integer(1, 60) }, () => {
      // Many at one time, and long silences.
      now += random.pick([0, 0, 1, 10, 1_000_000]);
      return now;
    });
    const log = await logOf(times, () => random.integer(1, 4));
    const asked = [-1, 0, now, now + 1, ...Array.from({ length: 20 }, () => random.integer(0, now))];
    for (const ms of [...asked, ...times.map((time) => time - 1)]) {
      const { seq, reads } = await log.seqAt(ms);
      expect(seq).toBe(log.expected(ms));
      expect(reads).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(60 * 4)) + 2);
    }
  }
});

test("[R34] where changes came at an even rate a few looks find a time", async () => {
  const random = new Random(8);
  let now = 0;
  const times = Array.from({ length: 2_000 }, () => {
    now += random.integer(50, 150);
    return now;
  });
  const log = await logOf(times, () => 1);
  const asked = Array.from({ length: 100 }, () => random.integer(0, now));
  const reads: number[] = [];
  for (const ms of asked) {
    const found = await log.seqAt(ms);
    expect(found.seq).toBe(log.expected(ms));
    reads.push(found.reads);
  }
  const mean = reads.reduce((sum, one) => sum + one, 0) / reads.length;
  // To halve it each time takes eleven.
  expect(mean).toBeLessThan(7);
});
