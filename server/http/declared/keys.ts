import { KeyList, KeyRequest, KeyView, NewKey, RotateRequest } from "../../../shared/rest/keys.ts";
import { declare } from "../describe/declaration.ts";
import { AT } from "./examples.ts";

const KEY = {
  id: "key-5f2b8c1d",
  source: "managed",
  fingerprint: "9b74c989",
  role: "agent",
  projects: ["acme-*", "web"],
  name: "build machines",
  prefix: "shk_4fQ2",
  created_at: AT.created,
  expires_at: "2027-02-20T06:00:00.000Z",
  connections: 0,
  hubs: [],
} as const;

const path = { key_id: KEY.id };
const MADE = {
  what: "The key, shown this once",
  body: NewKey,
  headers: ["Location", "Cache-Control"],
  links: { to: ["revokeKey", "rotateKey"], with: { "path.key_id": "id" } },
} as const;

export const LIST_KEYS = declare({
  name: "listKeys",
  summary: "Keys and their use on all hubs, newest first",
  answers: { 200: { what: "All of them; ended ones for 30 days", body: KeyList } },
  examples: [{ status: 200, answer: { items: [{ ...KEY, connections: 3, hubs: ["hub-1.9f2c61d0"] }], length: 1 } }],
});

export const CREATE_KEY = declare({
  name: "createKey",
  summary: "Make a key",
  detail: "`projects` are ids, prefixes such as `acme-*`, or `*`; an operator's key is for all and needs none.",
  body: KeyRequest,
  answers: { 201: MADE },
  errors: ["LIMIT_EXCEEDED"],
  examples: [
    {
      body: { role: "agent", projects: ["web", "acme-*"], name: "build machines", expires_in_ms: 7_776_000_000 },
      status: 201,
      answer: { ...KEY, key: "shk_4fQ2…" },
    },
  ],
});

export const REVOKE_KEY = declare({
  name: "revokeKey",
  summary: "Revoke a key, and close its connections on all hubs",
  answers: { 200: { what: "The key, revoked; again the same", body: KeyView } },
  errors: ["NOT_FOUND"],
  examples: [{ path, status: 200, answer: { ...KEY, revoked_at: AT.asked } }],
});

export const ROTATE_KEY = declare({
  name: "rotateKey",
  summary: "Make a key in place of another, which ends after the overlap",
  body: RotateRequest,
  answers: { 201: MADE },
  errors: ["NOT_FOUND", "GONE", "LIMIT_EXCEEDED"],
  examples: [
    {
      path,
      body: { overlap_ms: 86_400_000 },
      status: 201,
      answer: { ...KEY, id: "key-7c90e2ab", fingerprint: "45c48cce", prefix: "shk_9sLb", key: "shk_9sLb…" },
    },
  ],
});
