import { type Declaration, declare } from "../describe/declaration.ts";

const document = <const N extends string>(name: N, summary: string, type: string) =>
  declare({
    name,
    summary,
    headers: ["If-None-Match"],
    answers: {
      200: { what: "It", type, headers: ["ETag", "Cache-Control"] },
      304: { what: "It is that of the ETag", headers: ["ETag", "Cache-Control"] },
    },
    examples: [{ status: 200 }],
  } satisfies Declaration);

export const HOME = document("getHome", "What this is, as a page", "text/html");
export const DOCS = document("getDocs", "Every request and message, as a page", "text/html");
export const OPENAPI = document("getOpenApi", "REST as OpenAPI 3.1", "application/json");
export const ASYNCAPI = document("getAsyncApi", "The socket as AsyncAPI 3.0", "application/json");
