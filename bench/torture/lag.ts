import type { History, PublishRecord, ViewerRecord } from "./check-history.ts";

/** One acked publish and one viewer of its project on another hub. */
export interface Lag {
  readonly viewer: string;
  readonly hub: number;
  readonly ackedMs: number;
  /** Infinity when it never came. */
  readonly seenMs: number;
}

/** From when to when, `performance.now()`. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

type Course = NonNullable<PublishRecord["course"]>;

/** How long what was acked on one hub took to viewers that stay with another; those that move about are left out. */
export function remoteLags(history: Pick<History, "publishes" | "viewers">): Lag[] {
  const acked = history.publishes.filter(
    (publish): publish is PublishRecord & { seq: number; course: Course } =>
      publish.outcome === "acked" && publish.seq !== undefined && publish.course !== undefined,
  );
  const byProject = Map.groupBy(acked, ({ project_id }) => project_id);
  return history.viewers.flatMap((viewer) => {
    const { hub } = viewer;
    if (hub === undefined) return [];
    const arrivals = arrivalsOf(viewer);
    return (byProject.get(viewer.project_id) ?? [])
      .filter(({ course }) => course.hub !== hub)
      .map(({ seq, course }) => ({
        viewer: viewer.name,
        hub,
        ackedMs: course.settled_ms,
        seenMs: firstArrival(arrivals, seq),
      }));
  });
}

/** Below 0 when the frame was faster than the ack: then nobody waited. */
export function lagMs({ ackedMs, seenMs }: Lag): number {
  return Math.max(0, seenMs - ackedMs);
}

export function within({ fromMs, toMs }: Span, ms: number): boolean {
  return ms >= fromMs && ms < toMs;
}

/**
 * How long after a moment viewers were whole again: `live` was said to each of them, and all that had been acked by then
 * had come. Infinity when it was not said to somebody.
 */
export function wholeAfterMs(lags: readonly Lag[], viewers: readonly ViewerRecord[], fromMs: number): number {
  const liveMs = viewers.map((viewer) => firstMode(viewer, "live", fromMs));
  const allLiveMs = Math.max(fromMs, ...liveMs);
  const names = new Set(viewers.map(({ name }) => name));
  const seen = lags.filter((lag) => names.has(lag.viewer) && lag.ackedMs < allLiveMs).map((lag) => lag.seenMs);
  return highest([allLiveMs, ...seen]) - fromMs;
}

/** When a viewer first heard of a mode after a moment; Infinity when it did not. */
export function firstMode(viewer: ViewerRecord, mode: string, fromMs: number): number {
  return viewer.modes?.find((said) => said.mode === mode && said.at_ms >= fromMs)?.at_ms ?? Number.POSITIVE_INFINITY;
}

/** Of a list that may be too long to be spread; 0 when it is empty. */
export function highest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

interface Arrival {
  readonly toSeq: number;
  readonly atMs: number;
}

function arrivalsOf(viewer: ViewerRecord): Arrival[] {
  return viewer.steps.map((step) => ({
    toSeq: step.type === "snapshot" ? step.seq : step.to_seq,
    atMs: step.at_ms ?? Number.POSITIVE_INFINITY,
  }));
}

/** Positions only rise, so that the first step that reaches a seq is found by halving. */
function firstArrival(arrivals: readonly Arrival[], seq: number): number {
  let [low, high] = [0, arrivals.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((arrivals[middle]?.toSeq ?? 0) >= seq) high = middle;
    else low = middle + 1;
  }
  return arrivals[low]?.atMs ?? Number.POSITIVE_INFINITY;
}
