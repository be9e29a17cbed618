import { Doctor } from "./doctor/doctor.ts";
import type { HttpDeps } from "./http/deps.ts";
import type { OnStop } from "./lifecycle.ts";
import { listHubs } from "./liveness/hub-list.ts";
import { LogLevel } from "./observability/log-level.ts";
import { hubStats } from "./observability/stats.ts";

type HubListParts = Parameters<typeof listHubs>[0];
type StatsParts = Omit<Parameters<typeof hubStats>[0], "logLevel">;
type DoctorParts = Omit<ConstructorParameters<typeof Doctor>[0], "listHubs">;
type LogLevelParts = ConstructorParameters<typeof LogLevel>[0];

/** What operators ask of the hub itself, beside its drain and its keys. */
export function wireAdmin(
  parts: HubListParts & StatsParts & DoctorParts & LogLevelParts,
  onStop: OnStop,
): HttpDeps["admin"] {
  const logLevel = new LogLevel(parts);
  onStop("log level", () => logLevel.stop());
  const list = () => listHubs(parts);
  return {
    hubId: parts.hubId,
    listHubs: list,
    stats: () => hubStats({ ...parts, logLevel }),
    doctor: new Doctor({ ...parts, listHubs: list }),
    logLevel,
  };
}
