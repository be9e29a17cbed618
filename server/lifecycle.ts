import { pause } from "./timing.ts";

type Close = () => Promise<void> | void;
/** Says how to close something that was just opened. */
export type OnStop = (name: string, close: Close) => void;

/** What has been opened and has an end, closed in reverse. */
export class OpenParts {
  readonly #parts: { readonly name: string; readonly close: Close }[] = [];

  readonly add: OnStop = (name, close) => {
    this.#parts.push({ name, close });
  };

  /** What is not closed yet, the next first. */
  get names(): string[] {
    return this.#parts.map(({ name }) => name).toReversed();
  }

  async closeAll(): Promise<void> {
    for (let part = this.#parts.at(-1); part !== undefined; part = this.#parts.at(-1)) {
      await part.close();
      this.#parts.splice(this.#parts.indexOf(part), 1);
    }
  }
}

/** The work, or a rejection that says what it did not get to; the work itself goes on, and its caller ends the process. */
export async function endWithin(ms: number, work: Promise<void>, stillOpen: () => readonly string[]): Promise<void> {
  const isDone = await Promise.race([work.then(() => true), pause(ms).then(() => false)]);
  if (isDone) return;
  throw new StopTimeout(`not stopped within ${ms / 1_000} s; still open: ${stillOpen().join(", ")}`);
}

/** A stop that took too long: what is acked is in the log, the rest is for the next start. */
export class StopTimeout extends Error {
  override readonly name = "StopTimeout";
}
