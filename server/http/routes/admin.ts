import { DRAINING } from "../../drain/refusal.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import { DRAIN_PROGRESS, LIST_HUBS, LOG_LEVEL, RESUME, START_DRAIN, STATS } from "../declared/operations.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { administering } from "../endpoint.ts";
import { doctorResources } from "./doctor.ts";

/** For whoever runs the hub; answered in every state of it. */
export function adminResources(deps: HttpDeps): Resource[] {
  const { drain, admin } = deps;
  return [
    {
      path: "/admin/drain",
      get: administering(deps, DRAIN_PROGRESS, () => accepted({ status: 200, body: drain.progress })),
      post: administering(deps, START_DRAIN, ({ hold }) => {
        drain.request({ hold });
        return accepted({ status: 202, body: drain.progress });
      }),
    },
    {
      path: "/admin/resume",
      post: administering(deps, RESUME, async () => {
        if (!(await drain.resume())) return refused(DRAINING);
        return accepted({ status: 200, body: drain.progress });
      }),
    },
    {
      path: "/admin/hubs",
      get: administering(deps, LIST_HUBS, async () => {
        const items = await admin.listHubs();
        return accepted({ status: 200, body: { items, length: items.length } });
      }),
    },
    {
      path: "/admin/stats",
      get: administering(deps, STATS, async () => accepted({ status: 200, body: await admin.stats() })),
    },
    {
      path: "/admin/log-level",
      post: administering(deps, LOG_LEVEL, ({ level, minutes }) => {
        return accepted({ status: 200, body: { hub_id: admin.hubId, ...admin.logLevel.set(level, minutes) } });
      }),
    },
    ...doctorResources(deps),
  ];
}
