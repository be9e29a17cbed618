/** So many keys are told apart, in metrics too; the others are one. */
const TOLD_APART = 100;
/** What stands for all that are not told apart. */
const OTHERS = "other";

/** Counts by a key's fingerprint, of which there may be any number. */
export class FingerprintCounts {
  readonly #counts = new Map<string, number>();

  add(fingerprint: string, count = 1): void {
    const before = this.#counts.get(fingerprint);
    if (before === undefined && this.#counts.size >= TOLD_APART && fingerprint !== OTHERS) this.add(OTHERS, count);
    else this.#counts.set(fingerprint, (before ?? 0) + count);
  }

  [Symbol.iterator](): Iterator<[fingerprint: string, count: number]> {
    return this.#counts.entries();
  }
}
