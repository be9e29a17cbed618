import { digestOf, fingerprintOf } from "../domain/api-key.ts";
import { ProjectScope } from "../domain/project-scope.ts";
import type { KnownKey } from "./key-ring.ts";

/** Keys that the hub was started with, or that API_KEYS_FILE names: operators of all projects. */
export function configuredKeys(keys: readonly string[]): KnownKey[] {
  return keys.map((key) => {
    const digest = digestOf(key);
    const fingerprint = fingerprintOf(digest);
    return {
      digest,
      principal: { role: "operator", scope: ProjectScope.all, keyId: `config:${fingerprint}`, fingerprint },
    };
  });
}
