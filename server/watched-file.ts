import { open } from "node:fs/promises";
import { BOUNDS } from "./bounds.ts";
import type { Logger } from "./ports.ts";
import { StartupError } from "./startup-error.ts";

interface Options {
  /** Name of the setting, for messages. */
  readonly setting: string;
  readonly path: string;
  /** As it was read last. */
  readonly text: string;
  /** Puts new content into force. What it throws must not quote the content; it is tried again from time to time. */
  readonly onChange: (text: string) => void | Promise<void>;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** Between two tries to put the same content into force. */
const RETRY_MS = 5_000;

/**
 * A small file whose changes count while the hub runs. It is read again every second and compared: that sees a file
 * that was replaced by a rename, a mounted secret whose folder is swapped behind symbolic links, and network file
 * systems that notify of nothing. A file that is away, or makes no sense, leaves in force what it said before.
 */
export class WatchedFile {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #inForce: string;
  /** Content that could not be put into force, or the trouble of reading it. */
  #failed: string | undefined;
  #retryAt = 0;
  #isLooking = false;

  constructor(options: Options) {
    this.#options = options;
    this.#inForce = options.text;
    this.#timer = setInterval(() => void this.#look(), options.bounds.watchedFileMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#read();
    } finally {
      this.#isLooking = false;
    }
  }

  async #read(): Promise<void> {
    const { path, bounds, setting, log, onChange } = this.#options;
    let text: string;
    try {
      text = await readSmallFile(path, bounds.watchedFileBytes);
    } catch (error) {
      const { code = "unreadable" } = error as NodeJS.ErrnoException;
      this.#complain(code, `${setting} cannot be read; what it said before stays in force`, error);
      return;
    }
    if (text === this.#inForce) {
      this.#failed = undefined;
      return;
    }
    if (text === this.#failed && performance.now() < this.#retryAt) return;
    try {
      await onChange(text);
      this.#inForce = text;
      this.#failed = undefined;
      log.info({}, `${setting} was read again and is in force`);
    } catch (error) {
      this.#retryAt = performance.now() + RETRY_MS;
      this.#complain(text, `${setting} was read again, but is not in force; what it said before stays`, error);
    }
  }

  /** Once for the same trouble. */
  #complain(trouble: string, message: string, error: unknown): void {
    if (this.#failed === trouble) return;
    this.#failed = trouble;
    this.#options.log.error({ reason: (error as Error).message }, message);
  }
}

/**
 * At the start, when there is nothing before to go by.
 *
 * @throws StartupError
 */
export async function readWatchedFile(setting: string, path: string): Promise<string> {
  try {
    return await readSmallFile(path, BOUNDS.watchedFileBytes);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new StartupError(`${setting} names ${path}, which cannot be read (${reason})`, { cause: error });
  }
}

/** Without the line's end that editors add. */
async function readSmallFile(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const buffer = Buffer.alloc(maxBytes + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > maxBytes) throw new Error(`larger than ${maxBytes} bytes`);
    return buffer.toString("utf8", 0, bytesRead).trim();
  } finally {
    await file.close();
  }
}
