import type { Picture } from "./picture.ts";

/** Rings when a session needs a person that did not before; what needs one from the start is on the screen anyway. */
export class Bell {
  #needy: ReadonlySet<string> | undefined;

  isDue({ rows, connection }: Picture): boolean {
    // While connecting, sessions come in one after the other that have waited for long.
    if (connection.state === "connecting") return false;
    const before = this.#needy;
    const needy = new Set(rows.filter((row) => row.needs_me).map((row) => `${row.project_id}/${row.session_id}`));
    this.#needy = needy;
    return before !== undefined && [...needy].some((id) => !before.has(id));
  }

  ring(): void {
    const terminal = [process.stdout, process.stderr].find((stream) => stream.isTTY);
    terminal?.write("\u0007");
  }
}
