interface Items<T> {
  readonly items: readonly T[];
}

/** A list of any length, read page by page as it is walked: `for await (const item of list)`. */
export class Paged<T, P extends Items<T> = Items<T>> implements AsyncIterable<T> {
  readonly #read: (after: P | undefined) => Promise<P | undefined>;

  /** @param read the first page, or the one after another; undefined behind the last */
  constructor(read: (after: P | undefined) => Promise<P | undefined>) {
    this.#read = read;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const page of this.pages()) yield* page.items;
  }

  /** The pages themselves, for what else stands on them. */
  async *pages(): AsyncGenerator<P> {
    for (let page = await this.#read(undefined); page !== undefined; page = await this.#read(page)) yield page;
  }
}
