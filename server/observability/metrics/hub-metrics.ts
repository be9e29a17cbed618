import { Counter, Gauge, type Metric, Registry } from "@prometheus-io/client";
import { LATENCY_BUCKETS_S, type Latencies } from "../../counts/latencies.ts";
import type { Definition, Labelled, Look, MetricSources } from "./sources.ts";
import { METRICS } from "./table.ts";

/** What the process itself tells beside the hub's metrics, in the same format. */
type MoreMetrics = () => Promise<string>;

/**
 * The hub's metrics in the text format of Prometheus, in a registry of their own. Nothing is counted here: what the parts
 * of the hub count as plain numbers is read when somebody asks.
 */
export class HubMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #sources: MetricSources;
  readonly #more: MoreMetrics | undefined;

  constructor(sources: MetricSources, more?: MoreMetrics) {
    this.#sources = sources;
    this.#more = more;
  }

  /** MongoDB is asked for its answer, and waited for as long as a ping may take. */
  async text(): Promise<string> {
    const look: Look = { ...this.#sources, pingMs: await this.#sources.ping() };
    const registry = new Registry();
    for (const definition of METRICS) register(registry, definition, look);
    const own = await registry.metrics();
    return this.#more === undefined ? own : own + (await this.#more());
  }
}

function register(registry: Registry, definition: Definition, look: Look): void {
  const { name, help } = definition;
  const labelNames = Object.keys(definition.labels ?? {});
  if (definition.type === "histogram") {
    registry.registerMetric(new ReadHistogram(name, help, series(definition.read(look))) as unknown as Metric);
    return;
  }
  const value = definition.read(look);
  if (value === undefined) return;
  const options = { name, help, labelNames, registers: [registry] };
  if (definition.type === "counter") {
    const counter = new Counter(options);
    for (const [labels, count] of series(value)) counter.inc(labels, count);
  } else {
    const gauge = new Gauge(options);
    for (const [labels, level] of series(value)) gauge.set(labels, level);
  }
}

function series<T>(value: T | Labelled<T>): Labelled<T> {
  return Array.isArray(value) ? (value as Labelled<T>) : [[{}, value as T]];
}

/** The library's own histogram can only be filled one by one; what it asks of a metric is this much. */
class ReadHistogram {
  readonly type = "histogram";
  readonly name: string;
  readonly help: string;
  readonly #series: Labelled<Latencies>;

  constructor(name: string, help: string, all: Labelled<Latencies>) {
    this.name = name;
    this.help = help;
    this.#series = all;
  }

  get() {
    return Promise.resolve({
      name: this.name,
      help: this.help,
      type: this.type,
      values: this.#series.flatMap(([labels, latencies]) => this.#valuesOf(labels, latencies)),
    });
  }

  #valuesOf(labels: Readonly<Record<string, string>>, { counts, sumMs }: Latencies) {
    let upTo = 0;
    const buckets = counts.map((count, index) => {
      upTo += count;
      const le = String(LATENCY_BUCKETS_S[index] ?? "+Inf");
      return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: upTo };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sumMs / 1_000 },
      { metricName: `${this.name}_count`, labels, value: upTo },
    ];
  }
}
