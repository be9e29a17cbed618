import { z } from "zod";
import { DRAINING } from "../../drain/refusal.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import type { HttpDeps } from "../deps.ts";
import { administering, type Resource } from "../endpoint.ts";

const Nothing = z.object({});
const DrainRequest = z.object({ hold: z.boolean().default(false) });

/** For whoever runs the hub; answered in every state of it. */
export function adminResources(deps: HttpDeps): Resource[] {
  const { drain } = deps;
  return [
    {
      path: "/admin/drain",
      get: administering(deps, Nothing, () => accepted({ status: 200, body: drain.progress })),
      post: administering(deps, DrainRequest, ({ hold }) => {
        drain.request({ hold });
        return accepted({ status: 202, body: drain.progress });
      }),
    },
    {
      path: "/admin/resume",
      post: administering(deps, Nothing, async () => {
        if (!(await drain.resume())) return refused(DRAINING);
        return accepted({ status: 200, body: drain.progress });
      }),
    },
  ];
}
