import * as http from "node:http";
import * as https from "node:https";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { CLIENT_BOUNDS } from "../bounds.ts";
import { TELLS_ITSELF } from "../connect-failure.ts";

type Created = (error: Error | null, socket: Duplex) => void;
type Target = tls.ConnectionOptions & { readonly host?: string; readonly port?: number | string };

/** An HTTP proxy, and what counts as trusted behind it and of itself where its address is https. */
interface Way {
  readonly proxy: URL;
  readonly context: tls.SecureContext | undefined;
}

/** Connections through an HTTP proxy for http:// too, by CONNECT: a WebSocket cannot go through in any other way. */
export class PlainTunnelAgent extends http.Agent {
  readonly #way: Way;

  constructor(way: Way) {
    super();
    this.#way = way;
  }

  override createConnection(target: Target, created: Created): undefined {
    openTunnel(this.#way, target, created, (socket) => socket);
  }
}

/** For https://: TLS with the hub inside of the tunnel. */
export class SecureTunnelAgent extends https.Agent {
  readonly #way: Way;

  constructor(way: Way) {
    super();
    this.#way = way;
  }

  override createConnection(target: Target, created: Created): undefined {
    openTunnel(this.#way, target, created, (socket) => secured(socket, target, this.#way.context));
  }
}

function openTunnel(way: Way, target: Target, created: Created, finish: (socket: Socket) => Duplex): undefined {
  const authority = authorityOf(target);
  const connect = requestConnect(way, authority);
  const fail = (what: string) => created(proxyError(way.proxy, what), undefined as never);
  connect.setTimeout(CLIENT_BOUNDS.proxyAnswerMs, () => {
    connect.destroy(new Error(`no answer within ${CLIENT_BOUNDS.proxyAnswerMs} ms`));
  });
  connect.once("error", (error: NodeJS.ErrnoException) => fail(`cannot be reached (${error.code ?? error.message})`));
  connect.once("connect", ({ statusCode = 0 }, stream) => {
    const socket = stream as Socket;
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      fail(refusalText(authority, statusCode));
      return;
    }
    socket.setTimeout(0);
    created(null, finish(socket));
  });
  connect.end();
}

function requestConnect({ proxy, context }: Way, authority: string): http.ClientRequest {
  const isSecure = proxy.protocol === "https:";
  const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const authorization =
    login === ":" ? {} : { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` };
  return (isSecure ? https : http).request({
    method: "CONNECT",
    host: proxy.hostname.replace(/^\[|\]$/g, ""),
    port: proxy.port || (isSecure ? 443 : 80),
    path: authority,
    headers: { host: authority, ...authorization },
    agent: false,
    ...(context === undefined ? {} : { secureContext: context }),
  });
}

function secured(socket: Socket, target: Target, context: tls.SecureContext | undefined): tls.TLSSocket {
  const name = target.servername || (isIP(target.host ?? "") === 0 ? target.host : undefined);
  return tls.connect({
    ...target,
    socket,
    ...(name === undefined ? {} : { servername: name }),
    ...(context === undefined ? {} : { secureContext: context }),
  });
}

function authorityOf({ host = "localhost", port }: Target): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function refusalText(authority: string, status: number): string {
  return status === 407
    ? "wants a user and a password, http://user:password@proxy:port (HTTP 407)"
    : `refused to connect to ${authority} (HTTP ${status})`;
}

/** Names the proxy without the password that its address may hold. */
function proxyError({ protocol, host }: URL, what: string): Error {
  return Object.assign(new Error(`the proxy ${protocol}//${host} ${what}`), { code: TELLS_ITSELF });
}
