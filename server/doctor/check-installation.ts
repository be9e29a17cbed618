import { type Check, INSTALLATION_CHECKS } from "../../shared/rest/doctor.ts";
import type { HubView } from "../../shared/rest/operations.ts";
import type { FanOut } from "../ports.ts";
import type { Inspection, ServerFacts } from "./ports.ts";
import { advice, fine, listed, plural, untold, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly inspection: Pick<Inspection, "readServer" | "findMissingIndexes">;
  readonly health: { ping(): Promise<number | undefined>; clockOffset(): Promise<number> };
  readonly fanOut: Pick<FanOut, "state" | "trouble">;
  readonly listHubs: () => Promise<readonly HubView[]>;
}

const AWAY = "MongoDB does not answer";
const LEAST_MAJOR = 6;
/** A round trip inside one data centre takes a millisecond; each publish waits for one at least. */
const SLOW_PING_MS = 50;
/** Beyond it acks wait, and then are `UNAVAILABLE`. */
const MAJORITY_LAG_MS = 4_000;
const CLOCK_OFFSET_MS = 1_000;

/** What the hub stands on. Of a MongoDB that does not answer nothing more is asked. */
export async function checkInstallation(options: Options): Promise<Check[]> {
  const { inspection, health, fanOut } = options;
  const pingMs = await health.ping();
  if (pingMs === undefined) return judgeAway(fanOut);
  const [server, missing, offsetMs, hubs] = await Promise.all([
    inspection.readServer(),
    inspection.findMissingIndexes(),
    health.clockOffset(),
    options.listHubs(),
  ]);
  return [
    { name: "mongodb", ...judgeMongodb(server, pingMs) },
    { name: "replica_set", ...judgeReplicaSet(server) },
    { name: "write_concern", ...judgeMajority(server) },
    { name: "indexes", ...judgeIndexes(missing) },
    { name: "redis", ...judgeRedis(fanOut, hubs) },
    { name: "clock", ...judgeClock(offsetMs) },
    { name: "hubs", ...judgeHubs(hubs) },
  ];
}

function judgeAway(fanOut: Options["fanOut"]): Check[] {
  return INSTALLATION_CHECKS.map((name) => {
    if (name === "mongodb")
      return { name, ...wrong(AWAY, "see that it runs and has a primary: docs/DOCTOR.md, mongodb") };
    return name === "redis" ? { name, ...judgeRedis(fanOut, []) } : { name, ...untold(AWAY) };
  });
}

function judgeMongodb({ version }: ServerFacts, pingMs: number): Verdict {
  const detail = `MongoDB ${version} answers in ${pingMs} ms`;
  if (Number.parseInt(version, 10) < LEAST_MAJOR) {
    return wrong(detail, `it has to be ${LEAST_MAJOR}.0 or newer: docs/DOCTOR.md, mongodb`);
  }
  if (pingMs < SLOW_PING_MS) return fine(detail);
  return advice(detail, "every ack waits for it; is it overloaded, or far away? docs/DOCTOR.md, mongodb");
}

function judgeReplicaSet({ kind, members, arbiters }: ServerFacts): Verdict {
  const RUNBOOK = "docs/DOCTOR.md, replica_set";
  if (kind === "sharded cluster") return fine("a sharded cluster");
  if (kind === "standalone") {
    return advice("a standalone server: durable, and nothing takes over when it fails", `make it a set: ${RUNBOOK}`);
  }
  const detail = `a replica set of ${plural(members, "member")} with data${arbiters === 0 ? "" : `, ${plural(arbiters, "arbiter")}`}`;
  if (members === 1) return advice(`${detail}: nothing takes over when it fails`, `add two members: ${RUNBOOK}`);
  if (arbiters > 0) return advice(detail, `make arbiters members with data, or acks stop with one: ${RUNBOOK}`);
  return fine(detail);
}

/** What is asked for is fixed in code; whether a majority can follow is not. */
function judgeMajority({ kind, majorityLagMs }: ServerFacts): Verdict {
  if (kind === "standalone") return fine("each ack waits for the journal of the only server");
  const asked = "each ack waits for the journals of a majority";
  if (majorityLagMs === undefined) return fine(asked);
  const detail = `${asked}, which is ${majorityLagMs} ms behind`;
  if (majorityLagMs <= MAJORITY_LAG_MS) return fine(detail);
  return wrong(detail, "look at the members that do not follow (rs.status()): docs/DOCTOR.md, write_concern");
}

function judgeIndexes(missing: readonly string[]): Verdict {
  if (missing.length === 0) return fine("every index of this release is there");
  return wrong(`missing: ${listed(missing)}`, "build them in mongosh: docs/DOCTOR.md, indexes");
}

function judgeRedis({ state, trouble }: Options["fanOut"], hubs: readonly HubView[]): Verdict {
  const RUNBOOK = "docs/DOCTOR.md, redis";
  if (state.mode === "live") return fine("brings other hubs' changes at once");
  if (state.mode === "degraded") {
    const why = trouble === undefined ? state.reason : `${state.reason} (${trouble})`;
    return wrong(`away: ${why}; other hubs' changes come up to a second late`, `see to it: ${RUNBOOK}`);
  }
  const living = hubs.filter(({ state: one }) => one === "alive").length;
  if (living < 2) return fine("none is configured, and none is needed for one hub");
  return advice(`none is configured: ${living} hubs hear of each other by polling`, `set REDIS_URL: ${RUNBOOK}`);
}

/** Times in the log are MongoDB's; those in log lines and of tokens are this machine's as well. */
function judgeClock(offsetMs: number): Verdict {
  const detail = `this machine's clock is ${Math.abs(offsetMs)} ms ${offsetMs < 0 ? "ahead of" : "behind"} MongoDB's`;
  if (Math.abs(offsetMs) <= CLOCK_OFFSET_MS) return fine(detail);
  return advice(`${detail}; the hub corrects it`, "have both follow a time server: docs/DOCTOR.md, clock");
}

function judgeHubs(hubs: readonly HubView[]): Verdict {
  const named = (wanted: HubView["state"]) => hubs.filter(({ state }) => state === wanted).map(({ hub_id }) => hub_id);
  const [alive, unknown] = [named("alive"), named("unknown")];
  const out = [...named("dead"), ...named("gone")];
  const told = [
    `${plural(alive.length, "hub")} alive`,
    ...(unknown.length > 0 ? [`${unknown.length} not watched for long enough`] : []),
    ...(out.length > 0 ? [`out: ${listed(out)}`] : []),
  ];
  if (out.length === 0) return fine(told.join(", "));
  return advice(told.join(", "), "their sessions come elsewhere or are declared lost: docs/DOCTOR.md, hubs");
}
