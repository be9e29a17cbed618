import { MACHINES, seedProject } from "./seed-database.ts";

export interface ListShape {
  readonly filter: string;
  /** One project, or all. */
  readonly scope: "all" | "one";
  /** Path of the nth request; its values differ from request to request. */
  path(index: number): string;
}

/** Every shape of GET /sessions that has an index, on a database that seed-database.ts has filled `now`. */
export function listShapes(projects: number, now = Date.now()): ListShape[] {
  const day = (ago: number) => new Date(now - ago * 86_400_000).toISOString();
  const project = (index: number) => seedProject(1 + (index % Math.max(1, projects - 1)));
  const created = (index: number) => `created_from=${day(29.9)}&created_to=${day(27 - (index % 10) / 10)}`;
  const filters: Readonly<Record<string, (index: number) => string>> = {
    none: () => "",
    "status, common": () => "status=COMPLETED",
    "status, rare": () => "status=CANCELLED",
    liveness: (index) => `liveness=${index % 2 === 0 ? "lost" : "unmonitored"}`,
    machine_id: (index) => `machine_id=m-${(index * 7) % MACHINES}`,
    environment: () => "environment=test",
    min_recovery_attempts: (index) => `min_recovery_attempts=${1 + (index % 5)}`,
    updated_from: (index) => `updated_from=${day(1 + (index % 20))}`,
  };
  return Object.entries(filters).flatMap(([filter, search]) => {
    // What runs by updated_at has nothing to do with when sessions were created.
    const times: [string, (index: number) => string][] =
      filter === "updated_from"
        ? [["", () => ""]]
        : [
            ["", () => ""],
            [", created_at", created],
          ];
    return times.flatMap(([suffix, between]): ListShape[] => [
      { filter: filter + suffix, scope: "all", path: (index) => `/sessions?${search(index)}&${between(index)}` },
      {
        filter: filter + suffix,
        scope: "one",
        path: (index) => `/sessions?project_id=${project(index)}&${search(index)}&${between(index)}`,
      },
    ]);
  });
}
