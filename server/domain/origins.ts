/** Which pages in browsers may use the hub. Programs send no Origin; keys guard against them. */
export class Origins {
  readonly #allowed: readonly string[];
  readonly #isOpen: boolean;

  /**
   * @param allowed origins besides the hub's own, `*` for all
   * @param isOpen no key is asked for, so that origins alone keep strangers' pages out
   */
  constructor(allowed: readonly string[], isOpen: boolean) {
    this.#allowed = allowed;
    this.#isOpen = isOpen;
  }

  /** Whether the configuration names it: pages of such origins may read answers. */
  names(origin: string | undefined): origin is string {
    return origin !== undefined && (this.#allowed.includes("*") || this.#allowed.includes(origin));
  }

  /**
   * Whether a request is served that says it comes from this origin and was sent to this host. The hub's own origin
   * always is. An open hub is known to this machine alone: under another name, which a page can have made its own by
   * DNS, nobody is served.
   */
  admits(origin: string | undefined, host: string | undefined): boolean {
    if (this.#isOpen && !isLoopback(nameOf(host ?? ""))) return false;
    return origin === undefined || this.names(origin) || isSame(origin, host);
  }
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** `name:port` and `[address]:port` without the port. */
function nameOf(host: string): string {
  return host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
}

function isSame(origin: string, host: string | undefined): boolean {
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host;
}
