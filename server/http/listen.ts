import type { Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type ListenOptions, type Server } from "node:net";
import { StartupError } from "../startup-error.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

interface Bounds {
  readonly listenBacklog: number;
  readonly listenSockets: number;
}

interface Listening {
  readonly port: number;
  /** No more connections come by the further sockets; those that came by them live on. */
  readonly close: () => void;
}

/**
 * Listens on several sockets of one port, whose connections all go to the server. The event loop accepts one connection of
 * each socket in a turn (libuv since 1.46), so that with one socket thousands that come back together wait in the kernel's
 * queue and, when that is full, for its repeated attempts. Where the system can't share a port, one socket has to do.
 *
 * @throws StartupError
 */
export async function listen(http: HttpServer, { host, port }: Address, bounds: Bounds): Promise<Listening> {
  const options = { host, port, backlog: bounds.listenBacklog };
  if (bounds.listenSockets === 1 || !CAN_SHARE_PORTS) return { port: await bind(http, options), close: () => {} };
  // Sockets that share a port share it with another hub's too: that it is free shows only one that does not.
  if (port !== 0) await tryExclusively(options);
  const bound = await bind(http, { ...options, reusePort: true });
  const further = Array.from({ length: bounds.listenSockets - 1 }, () =>
    // With what Node's HTTP server sets for its own connections.
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => http.emit("connection", socket)),
  );
  const close = () => {
    for (const server of further) server.close();
  };
  try {
    for (const server of further) await bind(server, { ...options, port: bound, reusePort: true });
  } catch (error) {
    close();
    throw error;
  }
  return { port: bound, close };
}

/** Node says of other systems that they can't, or that they give all connections to one of the sockets. */
const CAN_SHARE_PORTS = process.platform === "linux";

async function tryExclusively(options: ListenOptions): Promise<void> {
  const probe = createServer();
  await bind(probe, { ...options, exclusive: true });
  await new Promise((resolve) => probe.close(resolve));
}

function bind(server: Server, options: ListenOptions): Promise<number> {
  const { host, port = 0 } = options;
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE" ? `port ${port} is in use; set PORT=${port + 1}` : error.message;
      reject(new StartupError(`cannot listen on ${host}:${port}: ${taken}`, { cause: error }));
    };
    server.once("error", fail);
    server.listen(options, () => {
      server.off("error", fail);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
