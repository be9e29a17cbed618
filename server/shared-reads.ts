interface Read<T> {
  readonly current: Promise<T>;
  /** For those who came after `current` had begun: it may not hold what was acked since. */
  next: Promise<T> | undefined;
}

/**
 * The same question asked by many at once is answered by one read. Nobody gets an answer whose read had begun before the
 * question came, so what was acked before is in it. Bounded by the questions that are open.
 */
export class SharedReads<Question, T> {
  readonly #reads = new Map<Question, Read<T>>();

  /** `question` says everything that the answer depends on, who asks included. Rejects for all who share a read that does. */
  read(question: Question, run: () => Promise<T>): Promise<T> {
    const running = this.#reads.get(question);
    if (running === undefined) return this.#start(question, run);
    running.next ??= running.current.then(ignore, ignore).then(() => this.#start(question, run));
    return running.next;
  }

  #start(question: Question, run: () => Promise<T>): Promise<T> {
    const current = run().finally(() => {
      if (read.next === undefined) this.#reads.delete(question);
    });
    const read: Read<T> = { current, next: undefined };
    this.#reads.set(question, read);
    return current;
  }
}

function ignore(): void {}
