import type { DoctorReport } from "../../../shared/rest/doctor.ts";
import type { Wish } from "../../doctor/doctor.ts";
import { type CursorScope, decodeCursor, encodeCursor } from "../../queries/cursor.ts";
import { refuseCursor } from "../../queries/list.ts";
import { accepted } from "../../writer/outcome.ts";
import { DOCTOR } from "../declared/doctor.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { forOperators, reading } from "../endpoint.ts";

const PLACE: CursorScope = ["doctor", {}];

export function doctorResources(deps: HttpDeps): Resource[] {
  const { doctor } = deps.admin;
  return [
    {
      path: "/admin/doctor",
      get: forOperators(
        reading(deps, DOCTOR, async ({ query: { project_id, limit, cursor } }) => {
          const afterId = cursor === undefined ? undefined : decodeCursor(PLACE, cursor)?.[0];
          if (cursor !== undefined && (typeof afterId !== "string" || project_id !== undefined)) return refuseCursor();
          const wish: Wish =
            project_id === undefined ? { afterId: afterId as string | undefined, limit } : { projectId: project_id };
          const examined = await doctor.examine(wish);
          if (!examined.ok) return examined;
          const { report, lastId } = examined.value;
          const next = lastId === undefined ? {} : { next_cursor: encodeCursor(PLACE, [lastId]) };
          return accepted({ status: 200, body: { ...report, ...next } satisfies DoctorReport });
        }),
      ),
    },
  ];
}
