import { z } from "zod";
import { ROLES } from "../../domain/access.ts";
import { isProjectPattern } from "../../domain/project-scope.ts";
import type { KeyWish, NewKey } from "../../keys/key-admin.ts";
import { accepted, type Outcome } from "../../writer/outcome.ts";
import { JSON_TYPES } from "../body.ts";
import type { HttpDeps } from "../deps.ts";
import { forOperators, operating, type Reply, type Resource, reading, writing } from "../endpoint.ts";
import { parsePathId } from "../path.ts";
import { Time } from "../query.ts";

const NOTHING = z.object({});
const LONGEST_MS = 10 * 365 * 24 * 60 * 60_000;
/** A new key is shown once, and must not stay in anybody's cache. */
const SECRET_HEADERS = { "Cache-Control": "no-store" };

const Pattern = z.string().refine(isProjectPattern, 'must be a project id, a prefix such as "acme-*", or "*"');

const KeyBody = z
  .object({
    role: z.enum(ROLES),
    projects: z.array(Pattern).max(100).default([]),
    name: z.string().min(1).max(100).optional(),
    expires_at: Time.optional(),
    expires_in_ms: z.int().min(1).max(LONGEST_MS).optional(),
  })
  .refine(({ expires_at, expires_in_ms }) => expires_at === undefined || expires_in_ms === undefined, {
    path: ["expires_in_ms"],
    message: "says the same as expires_at; give one of them",
  });

const RotateBody = z.object({ overlap_ms: z.int().min(0).max(LONGEST_MS) });

/** Managed keys, for operators. */
export function keyResources(deps: HttpDeps): Resource[] {
  const { keyAdmin } = deps;
  return [
    {
      path: "/admin/keys",
      get: forOperators(
        reading(deps, NOTHING, async () => {
          const items = await keyAdmin.list();
          return accepted({ status: 200, body: { items, length: items.length } });
        }),
      ),
      post: forOperators(
        writing(deps, { query: NOTHING, body: KeyBody, types: JSON_TYPES }, async ({ body }) =>
          created(await keyAdmin.create(wishOf(body, deps.clock.now()))),
        ),
      ),
    },
    {
      path: "/admin/keys/:key_id",
      delete: operating(deps, NOTHING, async ({ path }) => {
        const id = parsePathId(path, "key_id");
        if (!id.ok) return id;
        const revoked = await keyAdmin.revoke(id.value);
        return revoked.ok ? accepted({ status: 200, body: revoked.value }) : revoked;
      }),
    },
    {
      path: "/admin/keys/:key_id/rotate",
      post: forOperators(
        writing(deps, { query: NOTHING, body: RotateBody, types: JSON_TYPES }, async ({ path, body }) => {
          const id = parsePathId(path, "key_id");
          return id.ok ? created(await keyAdmin.rotate(id.value, body.overlap_ms)) : id;
        }),
      ),
    },
  ];
}

function wishOf({ expires_at, expires_in_ms, ...wish }: z.infer<typeof KeyBody>, now: number): KeyWish {
  const inTime = expires_in_ms === undefined ? undefined : new Date(now + expires_in_ms).toISOString();
  return { ...wish, expiresAt: expires_at ?? inTime };
}

function created(made: Outcome<NewKey>): Outcome<Reply> {
  if (!made.ok) return made;
  const headers = { ...SECRET_HEADERS, Location: `/admin/keys/${encodeURIComponent(made.value.id)}` };
  return accepted({ status: 201, headers, body: made.value });
}
