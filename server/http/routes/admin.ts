import { DRAINING } from "../../drain/refusal.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import { DRAIN_PROGRESS, RESUME, START_DRAIN } from "../declared/operations.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { administering } from "../endpoint.ts";

/** For whoever runs the hub; answered in every state of it. */
export function adminResources(deps: HttpDeps): Resource[] {
  const { drain } = deps;
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
  ];
}
