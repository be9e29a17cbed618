import type { z } from "zod";
import type { NewKey } from "../../../shared/rest/keys.ts";
import type { KeyWish } from "../../keys/key-admin.ts";
import { accepted, type Outcome } from "../../writer/outcome.ts";
import { CREATE_KEY, LIST_KEYS, REVOKE_KEY, ROTATE_KEY } from "../declared/keys.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { forOperators, operating, type Reply, reading, writing } from "../endpoint.ts";
import { parsePathId } from "../path.ts";

/** A new key is shown once, and must not stay in anybody's cache. */
const SECRET_HEADERS = { "Cache-Control": "no-store" };

/** Managed keys, for operators. */
export function keyResources(deps: HttpDeps): Resource[] {
  const { keyAdmin } = deps;
  return [
    {
      path: "/admin/keys",
      get: forOperators(
        reading(deps, LIST_KEYS, async () => {
          const items = await keyAdmin.list();
          return accepted({ status: 200, body: { items, length: items.length } });
        }),
      ),
      post: forOperators(
        writing(deps, CREATE_KEY, async ({ body }) => created(await keyAdmin.create(wishOf(body, deps.clock.now())))),
      ),
    },
    {
      path: "/admin/keys/:key_id",
      delete: operating(deps, REVOKE_KEY, async ({ path }) => {
        const id = parsePathId(path, "key_id");
        if (!id.ok) return id;
        const revoked = await keyAdmin.revoke(id.value);
        return revoked.ok ? accepted({ status: 200, body: revoked.value }) : revoked;
      }),
    },
    {
      path: "/admin/keys/:key_id/rotate",
      post: forOperators(
        writing(deps, ROTATE_KEY, async ({ path, body }) => {
          const id = parsePathId(path, "key_id");
          return id.ok ? created(await keyAdmin.rotate(id.value, body.overlap_ms)) : id;
        }),
      ),
    },
  ];
}

function wishOf({ expires_at, expires_in_ms, ...wish }: z.infer<typeof CREATE_KEY.body>, now: number): KeyWish {
  const inTime = expires_in_ms === undefined ? undefined : new Date(now + expires_in_ms).toISOString();
  return { ...wish, expiresAt: expires_at ?? inTime };
}

function created(made: Outcome<NewKey>): Outcome<Reply> {
  if (!made.ok) return made;
  const headers = { ...SECRET_HEADERS, Location: `/admin/keys/${encodeURIComponent(made.value.id)}` };
  return accepted({ status: 201, headers, body: made.value });
}
