/**
 * A reason not to start (or to stop at once) that the operator can act on. `main.ts` prints its message as one
 * line without a stack trace and exits with 1, so the message names the cause and what to do next, and never a secret.
 */
export class StartupError extends Error {
  override readonly name = "StartupError";
}
