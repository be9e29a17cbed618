import { refuse } from "../../../shared/errors.ts";
import type { PurgeView } from "../../../shared/rest/purges.ts";
import { mayWrite, NOT_AUTHORIZED } from "../../domain/access.ts";
import type { PurgeRecord } from "../../ports.ts";
import { findPurgeable } from "../../queries/purgeable.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import { BEGIN_PURGE, GET_PURGE } from "../declared/purges.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { forOperators, reading, writing } from "../endpoint.ts";

/** Forgetting for good, for operators. */
export function purgeResources(deps: HttpDeps): Resource[] {
  const { purges } = deps;
  return [
    {
      path: "/admin/purges",
      post: forOperators(
        writing(deps, BEGIN_PURGE, async ({ principal, body, actor, requestId }) => {
          const what = await findPurgeable(deps, principal, body);
          if (!what.ok) return what;
          if (!mayWrite(principal, what.value.project_id)) return refused(NOT_AUTHORIZED);
          const begun = await purges.begin({ ...what.value, actor, request_id: requestId });
          if (!begun.ok) return begun;
          const headers = { Location: `/admin/purges/${begun.value.id}` };
          return accepted({ status: 202, headers, body: viewPurge(begun.value) });
        }),
      ),
    },
    {
      path: "/admin/purges/:purge_id",
      get: forOperators(
        reading(deps, GET_PURGE, async ({ principal, path }) => {
          const found = await purges.find(path.purge_id ?? "");
          if (found === undefined || !mayWrite(principal, found.project_id)) return refused(NO_SUCH_PURGE);
          return accepted({ status: 200, body: viewPurge(found) });
        }),
      ),
    },
  ];
}

const NO_SUCH_PURGE = refuse("NOT_FOUND", "no such purge");

function viewPurge(record: PurgeRecord): PurgeView {
  const { id, project_id, session_id, requested_at, finished_at, sessions, entries, kept } = record;
  return {
    purge_id: id,
    project_id,
    ...(session_id === undefined ? {} : { session_id }),
    state: finished_at === undefined ? "running" : "done",
    requested_at,
    ...(finished_at === undefined ? {} : { finished_at }),
    ...{ sessions, entries, kept },
  };
}
