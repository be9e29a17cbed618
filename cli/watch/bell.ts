import type { Picture } from "./picture.ts";

/** Sessions of which it is remembered what they rang for. */
const REMEMBERED = 10_000;

/**
 * Rings when a session needs a person for something new. What needs one from the start is on the screen anyway, and
 * what comes back after a lost connection, with the same beginning, has rung before.
 */
export class Bell {
  /** Why and since when, by session; in the order of ringing. */
  readonly #heard = new Map<string, string>();
  #isFirst = true;

  isDue({ rows, connection }: Picture): boolean {
    // While connecting, sessions come in one after the other that have waited for long.
    if (connection.state === "connecting") return false;
    const isNew = rows.filter((row) => row.needs_me && this.#isNew(row));
    const isDue = isNew.length > 0 && !this.#isFirst;
    this.#isFirst = false;
    return isDue;
  }

  ring(): void {
    const terminal = [process.stdout, process.stderr].find((stream) => stream.isTTY);
    terminal?.write("\u0007");
  }

  #isNew({ project_id, session_id, state, since }: Picture["rows"][number]): boolean {
    const id = `${project_id}/${session_id}`;
    const reason = `${state} ${since}`;
    if (this.#heard.get(id) === reason) return false;
    this.#heard.delete(id);
    this.#heard.set(id, reason);
    const [oldest] = this.#heard.keys();
    if (this.#heard.size > REMEMBERED && oldest !== undefined) this.#heard.delete(oldest);
    return true;
  }
}
