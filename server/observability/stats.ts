import type { HubStats } from "../../shared/rest/operations.ts";
import type { MetricSources } from "./metrics/sources.ts";

interface Sources extends Pick<MetricSources, "gateway" | "writer" | "heartbeats" | "fanOut" | "version" | "ping"> {
  readonly hubId: string;
  readonly drain: { readonly state: HubStats["state"] };
  readonly leases: { readonly size: number };
  readonly logLevel: { readonly current: string };
  uptimeS(): number;
}

/** What `/metrics` counts, for people and scripts; MongoDB is asked for its answer, and waited for as long as a ping may take. */
export async function hubStats(sources: Sources): Promise<HubStats> {
  const latencyMs = await sources.ping();
  const { hubId, version, drain, logLevel, gateway, leases, heartbeats, writer, fanOut } = sources;
  const { agents, viewers, streams, loopLagMs } = gateway.counts;
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const { state } = fanOut;
  return {
    hub_id: hubId,
    version,
    uptime_s: sources.uptimeS(),
    state: drain.state,
    log_level: logLevel.current,
    connections: { agents, viewers, event_streams: streams },
    sessions: leases.size,
    unanswered_messages: gateway.unanswered,
    heartbeats: heartbeats.heard,
    writer: {
      entries: writer.counts.entries,
      changes: writer.counts.changes,
      lost_races: writer.counts.lostRaces,
      unknown_appends: writer.counts.unknownAppends,
      open_jobs: writer.openJobs,
      open_bytes: writer.openBytes,
    },
    fan_out: { mode: state.mode, ...(state.mode === "degraded" ? { reason: state.reason } : {}), ...fanOut.counts },
    ...(latencyMs === undefined ? {} : { mongodb_latency_ms: latencyMs }),
    event_loop_lag_ms: Math.round(loopLagMs * 10) / 10,
    memory: { rss_bytes: rss, heap_used_bytes: heapUsed, heap_total_bytes: heapTotal, external_bytes: external },
  };
}
