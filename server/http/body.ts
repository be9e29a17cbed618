import type { Request } from "express";
import { accepted, type Outcome } from "../writer/outcome.ts";
import { type HttpRefusal, invalid, refuseMediaType, refuseSize } from "./problem.ts";

export const JSON_TYPES: readonly string[] = ["application/json"];
export const PATCH_TYPES: readonly string[] = [...JSON_TYPES, "application/merge-patch+json"];

/** How much of a body that is too large is still read, so that a client that is not done writing hears the answer. */
const DISCARDED_BYTES = 1024 * 1024;

type Body = Outcome<unknown> | { readonly ok: false; readonly refusal: HttpRefusal };

/** The request's body as JSON. Only UTF-8 and uncompressed, so what is counted is what is parsed. */
export async function readJson(request: Request, types: readonly string[], maxBytes: number): Promise<Body> {
  const refusal = refuseHeaders(request, types);
  if (refusal !== undefined) return { ok: false, refusal };
  const bytes = await readBytes(request, maxBytes);
  if (bytes === undefined) return { ok: false, refusal: refuseSize(maxBytes) };
  if (bytes.length === 0) return { ok: false, refusal: invalid("", "a JSON object is needed as body") };
  try {
    return accepted(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    // The parser's message quotes the body: not for others' eyes.
    return { ok: false, refusal: invalid("", "the body is not valid JSON in UTF-8") };
  }
}

export function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function refuseHeaders(request: Request, types: readonly string[]): HttpRefusal | undefined {
  const { headers } = request;
  if (!hasBody(request)) return undefined;
  const [type = "", ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";");
  if (!types.includes(type.trim())) return refuseMediaType(`Content-Type must be ${types.join(" or ")}`);
  const charset = parameters.map((parameter) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(parameter)?.[1]).find(Boolean);
  if (charset !== undefined && charset !== "utf-8" && charset !== "utf8")
    return refuseMediaType("charset must be utf-8");
  const encoding = headers["content-encoding"]?.toLowerCase() ?? "identity";
  return encoding === "identity" ? undefined : refuseMediaType("the body must not be compressed");
}

/** The body's bytes, or undefined when they are too many. Rejects when the client goes away. */
async function readBytes(request: Request, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
    else chunks.length = 0;
    if (length > maxBytes + DISCARDED_BYTES) break;
  }
  return length > maxBytes ? undefined : Buffer.concat(chunks);
}
