import { z } from "zod";
import { Timestamp } from "../entities.ts";
import { isProjectPattern } from "../project-pattern.ts";
import { Time } from "./query.ts";

const LONGEST_MS = 10 * 365 * 24 * 60 * 60_000;

const KeyRole = z.enum(["viewer", "agent", "operator"]);

/** A key as people see it; never the key. */
export const KeyView = z.object({
  id: z.string(),
  /** `config`: named by API_KEYS or API_KEYS_FILE of a hub. */
  source: z.enum(["managed", "config"]),
  fingerprint: z.string(),
  role: KeyRole,
  projects: z.array(z.string()).readonly(),
  name: z.string().exactOptional(),
  prefix: z.string().exactOptional(),
  created_at: Timestamp.exactOptional(),
  expires_at: Timestamp.exactOptional(),
  revoked_at: Timestamp.exactOptional(),
  last_used_at: Timestamp.exactOptional(),
  replaced_by: z.string().exactOptional(),
  /** Open now, on all hubs. */
  connections: z.int().min(0),
  /** Those that have connections of it; of a configured key those that know it. */
  hubs: z.array(z.string()).readonly(),
});
export type KeyView = z.infer<typeof KeyView>;

/** The only time that a key is shown. */
export const NewKey = KeyView.extend({ key: z.string() });
export type NewKey = z.infer<typeof NewKey>;

export const KeyList = z.object({ items: z.array(KeyView).readonly(), length: z.int().min(0) });

const ProjectPattern = z.string().refine(isProjectPattern, 'must be a project id, a prefix such as "acme-*", or "*"');

export const KeyRequest = z
  .object({
    role: KeyRole,
    projects: z.array(ProjectPattern).max(100).default([]),
    name: z.string().min(1).max(100).optional(),
    expires_at: Time.optional(),
    expires_in_ms: z.int().min(1).max(LONGEST_MS).optional(),
  })
  .refine(({ expires_at, expires_in_ms }) => expires_at === undefined || expires_in_ms === undefined, {
    path: ["expires_in_ms"],
    message: "says the same as expires_at; give one of them",
  });

export const RotateRequest = z.object({ overlap_ms: z.int().min(0).max(LONGEST_MS) });
