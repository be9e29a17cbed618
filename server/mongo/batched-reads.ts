/** Keys of one query. */
const MOST_KEYS = 200;
/** Queries under way at once: with fewer, one that is slow would hold up all others. */
const MOST_QUERIES = 4;

interface Waiting<T> {
  readonly key: string;
  readonly found: PromiseWithResolvers<T | undefined>;
}

/**
 * Reads of single documents that are asked for at the same time, made into one query: asking costs the driver more than the
 * documents do. A read begins after it was asked for, so it sees what was acked before. Bounded by the requests that are open.
 */
export class BatchedReads<T> {
  readonly #query: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  #waiting: Waiting<T>[] = [];
  #underWay = 0;
  #isDue = false;

  /** @param query rejects when the database does not answer in time */
  constructor(query: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
    this.#query = query;
  }

  read(key: string): Promise<T | undefined> {
    const found = Promise.withResolvers<T | undefined>();
    this.#waiting.push({ key, found });
    this.#schedule();
    return found.promise;
  }

  /** After the requests of this turn were read. */
  #schedule(): void {
    if (this.#isDue || this.#waiting.length === 0 || this.#underWay === MOST_QUERIES) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      void this.#run(this.#waiting.splice(0, MOST_KEYS));
      this.#schedule();
    });
  }

  async #run(batch: readonly Waiting<T>[]): Promise<void> {
    this.#underWay += 1;
    try {
      const documents = await this.#query([...new Set(batch.map(({ key }) => key))]);
      for (const { key, found } of batch) found.resolve(documents.get(key));
    } catch (error) {
      for (const { found } of batch) found.reject(error);
    }
    this.#underWay -= 1;
    this.#schedule();
  }
}
