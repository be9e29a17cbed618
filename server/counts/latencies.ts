/** Upper ends of what is told apart, seconds: from an answer out of memory to the longest wait of a publish. */
export const LATENCY_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;

/** How long something took, as counts by bucket: what it costs is a few comparisons. */
export class Latencies {
  /** One for each bucket, and one for what is beyond the last; not added up. */
  readonly counts: number[] = Array<number>(LATENCY_BUCKETS_S.length + 1).fill(0);
  sumMs = 0;

  observe(ms: number): void {
    this.sumMs += ms;
    const seconds = ms / 1_000;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS_S.length && seconds > (LATENCY_BUCKETS_S[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
  }
}
