/**
 * Both sides of a comparison in one run, next to each other, in changing order (A B, B A, …), so that what drifts on
 * the machine meets both alike. Ratios are taken within a pair and only then condensed to their median.
 */
export interface Pair<A, B> {
  readonly ours: A;
  readonly theirs: B;
}

export async function runPairs<A, B>(
  count: number,
  ours: (pair: number) => Promise<A>,
  theirs: (pair: number) => Promise<B>,
  progress: (pair: number, result: Pair<A, B>) => void,
): Promise<Pair<A, B>[]> {
  const results: Pair<A, B>[] = [];
  for (let pair = 0; pair < count; pair += 1) {
    let result: Pair<A, B>;
    if (pair % 2 === 0) {
      const first = await ours(pair);
      result = { ours: first, theirs: await theirs(pair) };
    } else {
      const first = await theirs(pair);
      result = { ours: await ours(pair), theirs: first };
    }
    results.push(result);
    progress(pair, result);
  }
  return results;
}
