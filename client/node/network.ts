// @state-hub/client/network: hubs behind a private certificate authority or an HTTP proxy. Needs Node's TLS and sockets.

import { existsSync, readFileSync } from "node:fs";
import { Agent as HttpsAgent } from "node:https";
import * as tls from "node:tls";
import { getProxyForUrl } from "proxy-from-env";
import { StateHubError } from "../errors.ts";
import type { Network } from "../network.ts";
import { PlainTunnelAgent, SecureTunnelAgent } from "./tunnel.ts";

export type { Network } from "../network.ts";

export interface NetworkOptions {
  /**
   * Certificates of authorities to trust besides those of Node: PEM text, or a file that holds it. Default: the file that
   * STATE_HUB_CA names. NODE_EXTRA_CA_CERTS counts in any case.
   */
  readonly ca?: string;
  /**
   * Address of an HTTP proxy through which every connection goes, `http://user:password@proxy:3128`; false: none. Default:
   * what HTTPS_PROXY or HTTP_PROXY and NO_PROXY say, in either case; never for a hub on this machine (loopback).
   */
  readonly proxy?: string | false;
}

/** For the `network` of `connectAgent` and `followProject`. Throws `VALIDATION` when `ca` cannot be read or `proxy` is no address. */
export function nodeNetwork(options: NetworkOptions = {}): Network {
  const context = secureContext(options.ca ?? nonEmpty(process.env.STATE_HUB_CA));
  const proxy = options.proxy === undefined || options.proxy === false ? undefined : proxyUrl(options.proxy, "proxy");
  return {
    agentFor(url) {
      const address = new URL(url.replace(/^ws/i, "http"));
      const isSecure = address.protocol === "https:";
      const through = options.proxy === false ? undefined : (proxy ?? proxyOfEnvironment(address));
      if (through !== undefined)
        return new (isSecure ? SecureTunnelAgent : PlainTunnelAgent)({ proxy: through, context });
      return isSecure && context !== undefined ? new HttpsAgent({ secureContext: context }) : undefined;
    },
  };
}

/** Besides the authorities that Node trusts, not instead of them. */
function secureContext(ca: string | undefined): tls.SecureContext | undefined {
  if (ca === undefined) return undefined;
  try {
    const pem = ca.includes("-----BEGIN ") ? ca : readFileSync(ca, "utf8");
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error("it holds no PEM certificate");
    return tls.createSecureContext({ ca: [...authoritiesOfNode(), pem] });
  } catch (error) {
    const what = ca.includes("-----BEGIN ") ? "the given text" : ca;
    const text = `ca (STATE_HUB_CA): ${what} cannot be used: ${(error as Error).message}`;
    throw new StateHubError("VALIDATION", text, { cause: error });
  }
}

function authoritiesOfNode(): readonly string[] {
  // Node 18 and 20 do not tell what NODE_EXTRA_CA_CERTS brought.
  if (tls.getCACertificates !== undefined) return tls.getCACertificates("default");
  const extra = process.env.NODE_EXTRA_CA_CERTS ?? "";
  return [...tls.rootCertificates, ...(existsSync(extra) ? [readFileSync(extra, "utf8")] : [])];
}

function proxyOfEnvironment(address: URL): URL | undefined {
  if (isLoopback(address.hostname)) return undefined;
  const proxy = getProxyForUrl(address.href);
  return proxy === "" ? undefined : proxyUrl(proxy, "HTTPS_PROXY or HTTP_PROXY");
}

function proxyUrl(text: string, source: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {}
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== "") return url;
  // Not quoted: it may hold a password.
  throw new StateHubError("VALIDATION", `${source}: is no address of an HTTP proxy; it looks like http://proxy:3128`);
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127\./.test(hostname);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
