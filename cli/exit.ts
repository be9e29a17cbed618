/** Exit codes of every command; `run` ends with the code of the program that it ran. */
export const EXIT = {
  ok: 0,
  /** The hub said no, or something broke. */
  failed: 1,
  usage: 2,
  unreachable: 3,
  noKey: 4,
} as const;

/** Ends the command: the message on stderr, no stack. It says what happened and what to do next. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
