import { randomInt } from "node:crypto";
import { isPortFree } from "../../server/embedded/port-check.ts";
import { portOwner } from "../../server/embedded/port-owner.ts";
import { StartupError } from "../../server/startup-error.ts";

const LOWEST_PORT = 10_000;
/** Linux begins there, other systems higher up. */
const HIGHEST_PORT = 32_768;

export interface Ports {
  readonly balancer: number;
  readonly hubs: readonly number[];
}

/**
 * The balancer's port and those after it, or any free ones for 0. A process that is started again keeps its port.
 *
 * @throws StartupError that names who has one of them
 */
export async function choosePorts(first: number, hubs: number): Promise<Ports> {
  const [balancer = 0, ...rest] = first === 0 ? await freePorts(hubs + 1) : await portsFrom(first, hubs + 1);
  return { balancer, hubs: rest };
}

async function portsFrom(first: number, count: number): Promise<number[]> {
  const ports = Array.from({ length: count }, (_, index) => first + index);
  for (const port of ports) {
    if (await isPortFree("127.0.0.1", port)) continue;
    const owner = portOwner(port) ?? "another program";
    throw new StartupError(
      `port ${port} is in use by ${owner}; choose ${count} others with --port N (N is the balancer's, hubs take those after it)`,
    );
  }
  return ports;
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await portToKeep());
  return [...ports];
}

/**
 * A free port for a program that may be started again: below those that the system gives to outgoing connections, since
 * one of these could take it while the program is down. Random, so that clusters that start at once do not meet.
 */
export async function portToKeep(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    if (await isPortFree("127.0.0.1", port)) return port;
  }
}
