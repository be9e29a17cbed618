import { spawnSync } from "node:child_process";

const SETPRIV = ["setpriv", "--pdeathsig", "TERM"] as const;

/**
 * Words to put before a command: on Linux the kernel then sends it a SIGTERM when this process dies, however it dies, so
 * that none is left over. None where that is not to be had: the next start has to deal with what is left.
 */
export function tiedToThisProcess(): readonly string[] {
  if (process.platform !== "linux") return [];
  const [file, ...args] = SETPRIV;
  const works = spawnSync(file, [...args, "true"], { stdio: "ignore" }).status === 0;
  return works ? SETPRIV : [];
}
