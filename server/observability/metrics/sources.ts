import type { HttpCounts } from "../../counts/http.ts";
import type { Latencies } from "../../counts/latencies.ts";
import type { RequestCounts } from "../../counts/requests.ts";
import type { FanOut } from "../../ports.ts";

/** What the hub counted, in plain numbers: nothing here is made for metrics but when they are asked for. */
export interface MetricSources {
  readonly version: string;
  readonly protocol: number;
  readonly drain: { readonly isDraining: boolean };
  readonly gateway: {
    readonly counts: {
      readonly agents: number;
      readonly viewers: number;
      readonly streams: number;
      readonly messages: readonly {
        readonly namespace: string;
        readonly event: string;
        readonly counts: RequestCounts;
      }[];
      readonly unknown: RequestCounts;
      readonly connects: RequestCounts;
      readonly loopLagMs: number;
      readonly frames: ReadonlyMap<string, number>;
      readonly ended: ReadonlyMap<string, number>;
      readonly sentBytes: number;
    };
    readonly unanswered: number;
  };
  readonly writer: {
    readonly counts: Readonly<Record<"entries" | "changes" | "lostRaces" | "unknownAppends", number>>;
    readonly openJobs: number;
    readonly openBytes: number;
  };
  readonly heartbeats: { readonly heard: number };
  readonly rooms: { readonly slow: Readonly<Record<"behind" | "conflated" | "reset", number>> };
  readonly http: HttpCounts;
  readonly rates: {
    readonly refused: Readonly<Record<string, number>>;
    readonly failedKeys: { readonly counts: { readonly failed: number; readonly refused: number } };
  };
  readonly keys: { readonly counts: { readonly uses: Iterable<[string, number]>; readonly usesOfReplaced: number } };
  /** Open connections by the fingerprint of their key, a bounded number of them. */
  keyConnections(): Iterable<[fingerprint: string, connections: number]>;
  readonly fanOut: Pick<FanOut, "state" | "counts">;
  /** Milliseconds of a round trip, or undefined when MongoDB does not answer. */
  ping(): Promise<number | undefined>;
}

/** The sources as of one look, with the answer of MongoDB. */
export type Look = Omit<MetricSources, "ping"> & { readonly pingMs: number | undefined };

export type Labelled<T> = readonly (readonly [labels: Readonly<Record<string, string>>, value: T])[];

interface Described {
  readonly name: string;
  readonly help: string;
  /** Name of each label, and where its values come from: their number is bounded. */
  readonly labels?: Readonly<Record<string, string>>;
}

export type Definition = Described &
  (
    | { readonly type: "counter" | "gauge"; readonly read: (look: Look) => number | undefined | Labelled<number> }
    | { readonly type: "histogram"; readonly read: (look: Look) => Latencies | Labelled<Latencies> }
  );
