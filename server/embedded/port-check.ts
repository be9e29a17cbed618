import { createServer } from "node:net";
import { StartupError } from "../startup-error.ts";
import { portOwner } from "./port-owner.ts";

/**
 * Tries the hub's own address before anything is started, so that a taken port is reported in a moment and leaves
 * nothing behind. Between this and the real `listen` the port may still be taken: `listen` has to be ready for it.
 */
export async function assertPortFree(host: string, port: number): Promise<void> {
  const error = await tryToListen(host, port);
  if (error === undefined) return;
  throw new StartupError(await explain(error, host, port));
}

/** A port that was free a moment ago, on the same address. */
export function freePort(host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port: 0, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export async function isPortFree(host: string, port: number): Promise<boolean> {
  return (await tryToListen(host, port)) === undefined;
}

function tryToListen(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

async function explain(error: NodeJS.ErrnoException, host: string, port: number): Promise<string> {
  switch (error.code) {
    case "EADDRINUSE":
      return `port ${port} is in use by ${portOwner(port) ?? "another program"}; set PORT=${await nextFree(host, port)}`;
    case "EACCES":
      return `port ${port} may not be opened by this user (ports below 1024 need a privilege); set PORT=3000`;
    case "EADDRNOTAVAIL":
      return `HOST=${host} is not an address of this machine; set HOST=127.0.0.1, or 0.0.0.0 for all its addresses`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `HOST=${host} is not a known host name; set HOST=127.0.0.1, or 0.0.0.0 for all addresses of this machine`;
    default:
      return `the hub cannot listen on ${host}:${port}: ${error.message}`;
  }
}

/** A suggestion that is itself in use would be a poor one. */
async function nextFree(host: string, port: number): Promise<number> {
  for (let candidate = port + 1; candidate <= Math.min(port + 20, 65_535); candidate++) {
    if (await isPortFree(host, candidate)) return candidate;
  }
  return await freePort(host);
}
