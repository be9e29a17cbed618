import { refuse } from "../../shared/errors.ts";
import type { ProjectScope } from "./project-scope.ts";

export const ROLES = ["viewer", "agent", "operator"] as const;
export type Role = (typeof ROLES)[number];

/** Whom a key or token stands for, and what it may. Every edge asks the functions below, and nothing else. */
export interface Principal {
  readonly role: Role;
  /** An operator's is all projects. */
  readonly scope: ProjectScope;
  /** Names the key and is no part of it: a managed key's id, `config:<fingerprint>`, `token:<fingerprint>`. */
  readonly keyId: string;
  /**
   * First 8 hex digits of a SHA-256, of the key or of the token's subject: enough to tell keys apart in logs and changes,
   * useless to log in with.
   */
  readonly fingerprint: string;
  /** Of a token: what it was signed with, and until when it holds (milliseconds since 1970). */
  readonly token?: { readonly signer: string; readonly expiresAt: number };
}

/** The answer to whatever a known key may not, the same whether what was asked for exists or not. */
export const NOT_AUTHORIZED = refuse("FORBIDDEN", "Not Authorized");

export function mayRead({ scope }: Principal, projectId: string): boolean {
  return scope.has(projectId);
}

export function mayWrite(principal: Principal, projectId: string): boolean {
  return isWriter(principal) && principal.scope.has(projectId);
}

/** Agents and operators change things, and connect as agents. */
export function isWriter({ role }: Principal): boolean {
  return role !== "viewer";
}

export function isOperator({ role }: Principal): boolean {
  return role === "operator";
}
