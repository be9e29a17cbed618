import type { RequestCounts } from "../../counts/requests.ts";
import type { Definition, Labelled, Look } from "./sources.ts";

/** Messages of which the wait for the ack is worth knowing; the others answer out of memory. */
const TIMED: ReadonlySet<string> = new Set(["session:open", "changes:publish", "session:close", "project:join"]);

const CODE = "`ok`, or an error code of the protocol";
const FINGERPRINT = "fingerprint of a key; beyond 100 of them `other`";

/** Every metric of the hub, once: docs/METRICS.md is made of this. */
export const METRICS: readonly Definition[] = [
  {
    name: "statehub_build_info",
    type: "gauge",
    help: "1, with what this hub is",
    labels: { version: "release", protocol: "of agents and viewers", node: "version of Node" },
    read: ({ version, protocol }) => [[{ version, protocol: String(protocol), node: process.versions.node }, 1]],
  },
  {
    name: "statehub_draining",
    type: "gauge",
    help: "1 while the hub is drained or held and takes nothing new",
    read: ({ drain }) => Number(drain.isDraining),
  },
  {
    name: "statehub_event_loop_lag_seconds",
    type: "gauge",
    help: "How late the event loop comes to what is due: the longest of the last moments",
    read: ({ gateway }) => gateway.counts.loopLagMs / 1_000,
  },
  {
    name: "statehub_connections",
    type: "gauge",
    help: "Accepted connections now",
    labels: { namespace: "`agents`, `viewers`" },
    read: ({ gateway: { counts } }) => [
      [{ namespace: "agents" }, counts.agents],
      [{ namespace: "viewers" }, counts.viewers],
    ],
  },
  {
    name: "statehub_event_streams",
    type: "gauge",
    help: "Streams of events over HTTP that are open",
    read: ({ gateway }) => gateway.counts.streams,
  },
  {
    name: "statehub_connects_total",
    type: "counter",
    help: "CONNECTs judged",
    labels: { code: CODE },
    read: ({ gateway }) => byCode({}, gateway.counts.connects),
  },
  {
    name: "statehub_connections_ended_total",
    type: "counter",
    help: "Connections that the hub ended by its own decision",
    labels: { code: "code of `closing`" },
    read: ({ gateway }) => labelled("code", gateway.counts.ended),
  },
  {
    name: "statehub_messages_total",
    type: "counter",
    help: "Messages of clients that were answered",
    labels: {
      namespace: "`agents`, `viewers`; `any` for unknown events",
      event: "a message of the protocol, or `unknown`",
      code: CODE,
    },
    read: ({ gateway: { counts } }) => [
      ...counts.messages.flatMap(({ namespace, event, counts: one }) =>
        byCode({ namespace: namespace.slice(1), event }, one),
      ),
      ...byCode({ namespace: "any", event: "unknown" }, counts.unknown),
    ],
  },
  {
    name: "statehub_ack_seconds",
    type: "histogram",
    help: "From a message to its positive ack: of a publish, until it is durable",
    labels: { event: [...TIMED].map((event) => `\`${event}\``).join(", ") },
    read: ({ gateway }) =>
      gateway.counts.messages
        .filter(({ event }) => TIMED.has(event))
        .map(({ event, counts }) => [{ event }, counts.latencies] as const),
  },
  {
    name: "statehub_unanswered_messages",
    type: "gauge",
    help: "Messages that wait for their ack",
    read: ({ gateway }) => gateway.unanswered,
  },
  {
    name: "statehub_queued_publishes",
    type: "gauge",
    help: "Commands of agents, operators and the hub that wait to be durable, or are under way",
    read: ({ writer }) => writer.openJobs,
  },
  {
    name: "statehub_queued_bytes",
    type: "gauge",
    help: "Their approximate size",
    read: ({ writer }) => writer.openBytes,
  },
  {
    name: "statehub_entries_appended_total",
    type: "counter",
    help: "Entries of this hub in the log",
    read: ({ writer }) => writer.counts.entries,
  },
  {
    name: "statehub_changes_appended_total",
    type: "counter",
    help: "Changes in those entries",
    read: ({ writer }) => writer.counts.changes,
  },
  {
    name: "statehub_lost_races_total",
    type: "counter",
    help: "Entries that another hub was faster with, so that they were decided again",
    read: ({ writer }) => writer.counts.lostRaces,
  },
  {
    name: "statehub_unknown_appends_total",
    type: "counter",
    help: "Appends that MongoDB left without an answer at first, so that they were sent again",
    read: ({ writer }) => writer.counts.unknownAppends,
  },
  {
    name: "statehub_heartbeats_total",
    type: "counter",
    help: "Signs of life of sessions, publishes included",
    read: ({ heartbeats }) => heartbeats.heard,
  },
  {
    name: "statehub_frames_total",
    type: "counter",
    help: "Frames to viewers on sockets, one for each viewer",
    labels: { event: "`changes`, `position`, `heartbeats`" },
    read: ({ gateway }) => labelled("event", gateway.counts.frames),
  },
  {
    name: "statehub_sent_bytes_total",
    type: "counter",
    help: "Bytes written to agents and viewers",
    read: ({ gateway }) => gateway.counts.sentBytes,
  },
  {
    name: "statehub_slow_viewers_total",
    type: "counter",
    help: "How often viewers read too slowly, and what became of it",
    labels: {
      outcome: "`behind`: left out of the frames; `conflated`: back with one frame; `reset`: had to join anew",
    },
    read: ({ rooms }) => labelled("outcome", Object.entries(rooms.slow)),
  },
  {
    name: "statehub_http_requests_total",
    type: "counter",
    help: "REST requests answered",
    labels: { status: "HTTP status; 499: the client had gone" },
    read: ({ http }) => [...http.statuses].map(([status, count]) => [{ status: String(status) }, count]),
  },
  {
    name: "statehub_http_request_seconds",
    type: "histogram",
    help: "From a REST request to the end of its answer, streams of events aside",
    read: ({ http }) => http.latencies,
  },
  {
    name: "statehub_rate_limited_total",
    type: "counter",
    help: "Messages and REST requests beyond a rate, none of which was looked at",
    labels: { limit: "name of the limit in `welcome.limits`" },
    read: ({ rates }) => labelled("limit", Object.entries(rates.refused)),
  },
  {
    name: "statehub_failed_keys_total",
    type: "counter",
    help: "Keys that were shown and are none",
    read: ({ rates }) => rates.failedKeys.counts.failed,
  },
  {
    name: "statehub_refused_by_address_total",
    type: "counter",
    help: "Requests and CONNECTs from addresses with too many failed keys, whose key was not looked at",
    read: ({ rates }) => rates.failedKeys.counts.refused,
  },
  {
    name: "statehub_key_uses_total",
    type: "counter",
    help: "Uses of keys and tokens: CONNECTs, refreshes, REST requests",
    labels: { fingerprint: FINGERPRINT },
    read: ({ keys }) => labelled("fingerprint", keys.counts.uses),
  },
  {
    name: "statehub_key_connections",
    type: "gauge",
    help: "Accepted connections now, by key",
    labels: { fingerprint: FINGERPRINT },
    read: ({ keyConnections }) => labelled("fingerprint", keyConnections()),
  },
  {
    name: "statehub_replaced_key_uses_total",
    type: "counter",
    help: "Uses of keys that were rotated and still count for a while",
    read: ({ keys }) => keys.counts.usesOfReplaced,
  },
  {
    name: "statehub_mongodb_up",
    type: "gauge",
    help: "1 while MongoDB answers",
    read: ({ pingMs }) => Number(pingMs !== undefined),
  },
  {
    name: "statehub_mongodb_ping_seconds",
    type: "gauge",
    help: "Round trip to MongoDB; absent while it does not answer",
    read: ({ pingMs }) => (pingMs === undefined ? undefined : pingMs / 1_000),
  },
  {
    name: "statehub_redis_live",
    type: "gauge",
    help: "1 while Redis brings other hubs' changes at once, 0 while it does not; absent without REDIS_URL",
    read: (look) => withRedis(look, Number(look.fanOut.state.mode === "live")),
  },
  {
    name: "statehub_redis_entries_received_total",
    type: "counter",
    help: "Entries of other hubs that came through Redis",
    read: (look) => withRedis(look, look.fanOut.counts.received),
  },
  {
    name: "statehub_redis_garbage_total",
    type: "counter",
    help: "Messages on the hubs' channel that no hub of this database sent",
    read: (look) => withRedis(look, look.fanOut.counts.garbage),
  },
  {
    name: "statehub_redis_dropped_total",
    type: "counter",
    help: "Own entries that other hubs were not told and find in the log",
    read: (look) => withRedis(look, look.fanOut.counts.dropped),
  },
  {
    name: "statehub_redis_pending_bytes",
    type: "gauge",
    help: "Own messages on their way to Redis",
    read: (look) => withRedis(look, look.fanOut.counts.pending_bytes),
  },
];

function withRedis({ fanOut }: Look, value: number): number | undefined {
  return fanOut.state.mode === "off" ? undefined : value;
}

function byCode(labels: Readonly<Record<string, string>>, { accepted, refused }: RequestCounts): Labelled<number> {
  return [
    [{ ...labels, code: "ok" }, accepted],
    ...[...refused].map(([code, count]) => [{ ...labels, code }, count] as const),
  ];
}

function labelled(label: string, counts: Iterable<readonly [string, number]>): Labelled<number> {
  return [...counts].map(([value, count]) => [{ [label]: value }, count]);
}
