import { createHash } from "node:crypto";
import type { Limits } from "../../../shared/limits.ts";
import { asyncApi } from "./asyncapi.ts";
import { type Group, openApi } from "./openapi.ts";
import { docsPage, homePage } from "./page.ts";
import { STYLE } from "./style.ts";

export interface Served {
  readonly text: string;
  readonly type: string;
  /** Digest of the text, as an entity tag. */
  readonly etag: string;
}

/** Nothing but the page's own style: no script, nothing from elsewhere. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(";");

const JSON_TYPE = "application/json; charset=utf-8";
const HTML_TYPE = "text/html; charset=utf-8";

/** What the hub says of itself; each made when first asked for, since most hubs never are. */
export class Documents {
  readonly #groups: () => readonly Group[];
  readonly #version: string;
  readonly #limits: Limits;
  readonly #made = new Map<string, Served>();

  constructor(groups: () => readonly Group[], version: string, limits: Limits) {
    this.#groups = groups;
    this.#version = version;
    this.#limits = limits;
  }

  get openApi(): Served {
    return this.#once("openapi", JSON_TYPE, () => JSON.stringify(openApi(this.#groups(), this.#version)));
  }

  get asyncApi(): Served {
    return this.#once("asyncapi", JSON_TYPE, () => JSON.stringify(asyncApi(this.#version, this.#limits)));
  }

  get docs(): Served {
    return this.#once("docs", HTML_TYPE, () => docsPage(JSON.parse(this.openApi.text), JSON.parse(this.asyncApi.text)));
  }

  get home(): Served {
    return this.#once("home", HTML_TYPE, () => homePage(this.#version));
  }

  #once(name: string, type: string, make: () => string): Served {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const text = make();
    const made = { text, type, etag: `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"` };
    this.#made.set(name, made);
    return made;
  }
}
