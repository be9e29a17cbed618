/** How to reach hubs where that takes more than the runtime does by itself: `nodeNetwork()` of `@state-hub/client/network`. */
export interface Network {
  /** An `http.Agent` of Node for connections to this address; undefined: as the runtime does it. */
  agentFor(url: string): object | undefined;
}
