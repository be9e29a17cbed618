import type { ReadStream, WriteStream } from "node:tty";

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";
/** Terminals that know it show a frame at once instead of while it is written; others ignore it. */
const BEGIN_FRAME = "\u001b[?2026h";
const END_FRAME = "\u001b[?2026l";

interface Options {
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly onKey: (key: string) => void;
  /** Everything has to be drawn anew. */
  readonly onResize: () => void;
}

/**
 * The whole terminal for as long as it is open: alternate screen, no cursor, no wrapping, keys one by one. `close` gives
 * it back as it was, and so does the end of the process, whatever the reason short of a SIGKILL.
 */
export class Screen {
  readonly #options: Options;
  #isOpen = false;
  #shown = "";
  readonly #close = () => this.close();
  readonly #onData = (keys: Buffer) => this.#options.onKey(keys.toString("latin1"));
  readonly #onResize = () => {
    this.#shown = "";
    this.#options.onResize();
  };

  constructor(options: Options) {
    this.#options = options;
  }

  get columns(): number {
    return this.#options.output.columns;
  }

  get lines(): number {
    return this.#options.output.rows;
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#shown = "";
    const { input, output } = this.#options;
    process.on("exit", this.#close);
    // Before Node prints the stack of an error that nobody caught: it would go under with the alternate screen.
    process.on("uncaughtExceptionMonitor", this.#close);
    if (input.isTTY) {
      // First: a process in the background is stopped by it, and must not have cleared the screen by then.
      input.setRawMode(true);
      input.on("data", this.#onData);
      input.resume();
    }
    output.on("resize", this.#onResize);
    output.write(ENTER);
  }

  /** Draws lines that fit the terminal; what is there already is not written again. */
  draw(lines: readonly string[]): void {
    // Cleared before it is written: behind a full line the cursor is still on its last character.
    const cleared = lines.map((line, index) => (index === lines.length - 1 ? CLEAR_BELOW : CLEAR_LINE) + line);
    const frame = cleared.join("\r\n");
    if (!this.#isOpen || frame === this.#shown) return;
    this.#shown = frame;
    this.#options.output.write(BEGIN_FRAME + HOME + frame + END_FRAME);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { input, output } = this.#options;
    process.off("exit", this.#close);
    process.off("uncaughtExceptionMonitor", this.#close);
    output.off("resize", this.#onResize);
    if (input.isTTY) {
      input.off("data", this.#onData);
      input.setRawMode(false);
      input.pause();
    }
    output.write(LEAVE);
  }
}
