import type { RequestHandler } from "express";
import { ASYNCAPI, DOCS, HOME, OPENAPI } from "../declared/documents.ts";
import type { Resource } from "../describe/declaration.ts";
import { type Documents, PAGE_POLICY, type Served } from "../describe/documents.ts";
import { open } from "../endpoint.ts";
import { isUnchanged } from "../etag.ts";

/** For people and programs who want to know what this is; no key needed, since it says nothing of anybody. */
export function documentResources(documents: Documents): Resource[] {
  return [
    {
      path: "/",
      get: open(
        HOME,
        serving(() => documents.home),
      ),
    },
    {
      path: "/docs",
      get: open(
        DOCS,
        serving(() => documents.docs),
      ),
    },
    {
      path: "/openapi.json",
      get: open(
        OPENAPI,
        serving(() => documents.openApi),
      ),
    },
    {
      path: "/asyncapi.json",
      get: open(
        ASYNCAPI,
        serving(() => documents.asyncApi),
      ),
    },
  ];
}

/** Any cache may keep it, and has to ask whether it is still true: the next release says something else. */
function serving(find: () => Served): RequestHandler {
  return (request, response) => {
    const { text, type, etag } = find();
    response.set({ ETag: etag, "Cache-Control": "public, no-cache" });
    // With a 304 too: its headers replace those that a browser has kept, and the page would lose its style.
    if (type.startsWith("text/html")) response.set("Content-Security-Policy", PAGE_POLICY);
    if (isUnchanged(request.get("if-none-match"), etag.slice(1, -1))) {
      response.status(304).end();
      return;
    }
    response.status(200).set("Content-Type", type).send(text);
  };
}
