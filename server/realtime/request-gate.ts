interface Options<R> {
  /** Handled at once, each until its answer is written. */
  readonly atOnce: number;
  /** Waiting for their turn. */
  readonly waiting: number;
  /** The answers so far wait for the client; `release` is called when they no longer do. */
  readonly isHeldUp: () => boolean;
  /** Resolves when the answer is written. */
  readonly handle: (request: R) => Promise<void> | undefined;
  readonly onFull: (request: R) => void;
}

/**
 * Requests of one client whose answers are much larger than themselves: they are handled as fast as the answers are
 * read, so that a client cannot pile them up here by asking.
 */
export class RequestGate<R> {
  readonly #options: Options<R>;
  readonly #waiting: R[] = [];
  #open = 0;

  constructor(options: Options<R>) {
    this.#options = options;
  }

  take(request: R): void {
    if (this.#waiting.length === 0 && this.#mayHandle()) this.#handle(request);
    else if (this.#waiting.length < this.#options.waiting) this.#waiting.push(request);
    else this.#options.onFull(request);
  }

  release(): void {
    while (this.#waiting.length > 0 && this.#mayHandle()) this.#handle(this.#waiting.shift() as R);
  }

  /** Nobody waits for the answers any more. */
  clear(): void {
    this.#waiting.length = 0;
  }

  #mayHandle(): boolean {
    return this.#open < this.#options.atOnce && !this.#options.isHeldUp();
  }

  #handle(request: R): void {
    const answered = this.#options.handle(request);
    if (answered === undefined) return;
    this.#open += 1;
    const onAnswered = () => {
      this.#open -= 1;
      this.release();
    };
    answered.then(onAnswered, onAnswered);
  }
}
