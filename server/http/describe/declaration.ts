import type { RequestHandler } from "express";
import type { z } from "zod";
import type { ErrorCode } from "../../../shared/errors.ts";

/** Whom a route answers: anybody without a key, or keys of at least this role. */
export type Access = "public" | "viewer" | "agent" | "operator";

/** One kind of success. Errors are problems, named by their codes. */
export interface Answer {
  readonly what: string;
  /** Without it the answer has no body, or one of another `type`. */
  readonly body?: z.ZodType;
  /** Of a body that is not JSON. */
  readonly type?: string;
  readonly headers?: readonly ResponseHeader[];
  readonly links?: Links;
}

/** What may be asked next with what the answer holds. */
interface Links {
  /** Names of routes. */
  readonly to: readonly string[];
  /** Which field of the body gives which parameter. */
  readonly with: Readonly<Record<string, string>>;
}

export type RequestHeader = "If-Match" | "If-None-Match" | "Last-Event-ID";
type ResponseHeader = "ETag" | "Location" | "Cache-Control";

/** A request that works, and the answer as it looks then. Read from top to bottom, the examples of a document work. */
export interface Example {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly status: number;
  readonly answer?: unknown;
}

/** All that is said of a route, to programs and to people; what it checks is checked by these schemas. */
export interface Declaration<Q extends z.ZodType = z.ZodType, B extends z.ZodType = z.ZodType> {
  /** Unique: what generated clients call it. */
  readonly name: string;
  /** What the request does. */
  readonly summary: string;
  readonly detail?: string;
  readonly query?: Q;
  readonly body?: B;
  /** Media types that the body may have. */
  readonly types?: readonly string[];
  readonly headers?: readonly RequestHeader[];
  readonly answers: Readonly<Record<number, Answer>>;
  /** Codes of its own, beside those that every route of its access can answer. */
  readonly errors?: readonly ErrorCode[];
  readonly examples: readonly [Example, ...Example[]];
}

/** Keeps the schemas' own types, which handlers are checked against. */
export function declare<const D extends Declaration>(declaration: D): D {
  return declaration;
}

/** A route as it is mounted. There is no other way to mount one. */
export interface Endpoint {
  readonly access: Access;
  readonly declaration: Declaration;
  /** Codes that come from the kind of route. */
  readonly errors: readonly ErrorCode[];
  readonly isBodyOptional?: boolean;
  readonly handler: RequestHandler;
}

export const METHODS = ["get", "post", "patch", "delete"] as const;
export type Method = (typeof METHODS)[number];

/** A path and what it understands. */
export type Resource = { readonly path: string } & { readonly [M in Method]?: Endpoint };
