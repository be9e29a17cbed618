import type { ServerResponse } from "node:http";
import type { Limits } from "../../shared/limits.ts";
import type { Position } from "../../shared/position.ts";
import type { HubStats, HubView } from "../../shared/rest/operations.ts";
import type { BOUNDS } from "../bounds.ts";
import type { ProjectCounts } from "../counting/project-counts.ts";
import type { HttpCounts } from "../counts/http.ts";
import type { Doctor } from "../doctor/doctor.ts";
import type { Principal } from "../domain/access.ts";
import type { Origins } from "../domain/origins.ts";
import type { Drain } from "../drain/drain.ts";
import type { Snapshots } from "../following/snapshots.ts";
import type { Purges } from "../forgetting/purges.ts";
import type { History } from "../history/history.ts";
import type { KeyAdmin } from "../keys/key-admin.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { Heartbeats } from "../liveness/heartbeats.ts";
import type { LogLevel } from "../observability/log-level.ts";
import type { Clock, FanOut, Logger } from "../ports.ts";
import type { DatabaseTrouble, Queries } from "../queries/ports.ts";
import type { Outcome } from "../writer/outcome.ts";
import type { Projects } from "../writer/projects.ts";
import type { Writer } from "../writer/writer.ts";

export interface Health {
  readonly version: string;
  /** Whole seconds since the start. */
  uptimeS(): number;
  /** Milliseconds of a round trip to the database, or undefined when it does not answer. */
  ping(): Promise<number | undefined>;
  readonly fanOut: Pick<FanOut, "state" | "trouble" | "counts">;
}

/** What operators ask of the hub itself. */
interface Admin {
  readonly hubId: string;
  listHubs(): Promise<readonly HubView[]>;
  stats(): Promise<HubStats>;
  readonly doctor: Pick<Doctor, "examine">;
  readonly logLevel: Pick<LogLevel, "set">;
}

export interface Metrics {
  readonly contentType: string;
  /** In the text format of Prometheus. */
  text(): Promise<string>;
}

/** Prepares a stream of a project's events; what it returns begins it as the answer. Rejects as queries do. */
export type FollowProject = (request: {
  readonly projectId: string;
  /** The last change that the client has. */
  readonly since: Position | undefined;
  readonly heartbeats: boolean;
  readonly principal: Principal;
}) => Promise<Outcome<(response: ServerResponse) => void>>;

/** What the HTTP edge needs. */
export interface HttpDeps {
  readonly keys: Pick<KeyRing, "identify">;
  readonly keyAdmin: KeyAdmin;
  readonly counts: HttpCounts;
  readonly metrics: Metrics;
  readonly admin: Admin;
  readonly rates: Pick<RateLimits, "address" | "request" | "failedKeys">;
  readonly writer: Pick<Writer, "submit">;
  readonly projects: Projects;
  readonly snapshots: Snapshots;
  readonly history: History;
  readonly purges: Pick<Purges, "begin" | "find">;
  readonly heartbeats: Pick<Heartbeats, "lastOf" | "stillKeys">;
  readonly projectCounts: Pick<ProjectCounts, "of">;
  readonly stalledAfterMs: number;
  readonly queries: Queries;
  readonly followProject: FollowProject;
  /** What a rejection of queries, projects or snapshots means. */
  readonly databaseTrouble: (error: unknown) => DatabaseTrouble;
  readonly health: Health;
  readonly drain: Pick<Drain, "state" | "isDraining" | "progress" | "request" | "resume">;
  readonly limits: Limits;
  readonly bounds: typeof BOUNDS;
  readonly clock: Clock;
  readonly log: Logger;
  /** A request without an answer by then gets `TIMEOUT`. */
  readonly requestTimeoutMs: number;
  readonly origins: Origins;
  /** No key is asked for. */
  readonly isOpen: boolean;
  /** Express' `trust proxy`: how many proxies in front are believed about the client's address; 0 or false for none. */
  readonly trustProxy: number | string | false;
}
