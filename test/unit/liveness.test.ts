import { expect, test } from "vitest";
import { dueVerdict } from "../../server/domain/liveness.ts";
import { Liveness } from "../../shared/entities.ts";

const TERMS = { ttlMs: 15_000, graceMs: 30_000 };

/** Silence, and time since the last verdict, at every border. */
const TIMES = [
  { silentMs: 0, judgedMs: 0 },
  { silentMs: 14_999, judgedMs: 1e9 },
  { silentMs: 15_000, judgedMs: 0 },
  { silentMs: 1e9, judgedMs: 29_999 },
  { silentMs: 15_000, judgedMs: 30_000 },
  { silentMs: 1e9, judgedMs: 1e9 },
];

const due = (liveness: Liveness, isHeardSince: boolean) =>
  TIMES.map((times) => dueVerdict(liveness, { ...times, isHeardSince }, TERMS));

const none = TIMES.map(() => undefined);

/** Complete: every liveness, heard since the last verdict or not. */
const TABLE: Readonly<Record<Liveness, { readonly heard: unknown[]; readonly unheard: unknown[] }>> = {
  online: {
    heard: [undefined, undefined, "stale", "stale", "stale", "stale"],
    unheard: [undefined, undefined, "stale", "stale", "stale", "stale"],
  },
  stale: {
    heard: ["online", "online", undefined, undefined, "lost", "lost"],
    // The ttl has become longer meanwhile: that is no sign of life.
    unheard: [undefined, undefined, undefined, undefined, "lost", "lost"],
  },
  lost: { heard: ["online", "online", undefined, undefined, undefined, undefined], unheard: none },
  ended: { heard: none, unheard: none },
  unmonitored: { heard: none, unheard: none },
};

test.each(Liveness.options)("[B10] the verdict that is due on a session that is %s", (liveness) => {
  expect(due(liveness, true)).toEqual(TABLE[liveness].heard);
  expect(due(liveness, false)).toEqual(TABLE[liveness].unheard);
});
