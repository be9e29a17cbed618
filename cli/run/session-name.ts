import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import { idFrom } from "../../client/identity.ts";

/** `<command>-<host>-<time>-<random>`: readable in a list, and never the same twice. */
export function sessionName(command: readonly string[], host: string, now: Date): string {
  const time = now.toISOString().replace(/[-:]/g, "").slice(0, 15);
  const tail = `${time}-${randomBytes(3).toString("hex")}`;
  const program = idFrom(basename(command[0] ?? "")) || "run";
  return idFrom(`${program.slice(0, 40)}-${idFrom(host).slice(0, 50) || "host"}-${tail}`);
}
