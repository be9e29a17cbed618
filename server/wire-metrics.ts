import { PROTOCOL_VERSION } from "../shared/protocol.ts";
import { FingerprintCounts } from "./counts/fingerprints.ts";
import type { Principal } from "./domain/access.ts";
import { HubMetrics } from "./observability/metrics/hub-metrics.ts";
import type { MetricSources } from "./observability/metrics/sources.ts";
import { VERSION } from "./version.ts";

type Parts = Omit<MetricSources, "version" | "protocol" | "keyConnections"> & {
  readonly gateway: { principals(): Iterable<Principal> };
};

/** What `/metrics` reads. */
export function wireMetrics(parts: Parts, processMetrics: (() => Promise<string>) | undefined): HubMetrics {
  const keyConnections = () => {
    const connections = new FingerprintCounts();
    for (const { fingerprint } of parts.gateway.principals()) connections.add(fingerprint);
    return connections;
  };
  return new HubMetrics({ ...parts, version: VERSION, protocol: PROTOCOL_VERSION, keyConnections }, processMetrics);
}
