import { ERRORS, type ErrorCode } from "../../../shared/errors.ts";
import type { Example } from "./declaration.ts";
import { type Html, html, inline, prose } from "./html.ts";
import type { JsonSchema } from "./json-schema.ts";
import { fieldsOf, typeOf } from "./schema-html.ts";
import { STYLE } from "./style.ts";

// Pages are made of the two documents alone, so that people read what programs read.

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}

interface Operation {
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> };
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly $ref?: string;
        readonly description?: string;
        readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>>;
      }
    >
  >;
  readonly "x-errors": readonly ErrorCode[];
  readonly "x-examples": readonly Example[];
}

interface OpenApi {
  readonly info: { readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

interface Message {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly payload: JsonSchema & { readonly oneOf?: readonly JsonSchema[] };
  readonly examples: readonly { readonly payload: unknown }[];
  readonly "x-errors"?: readonly ErrorCode[];
}

interface AsyncApi {
  readonly info: { readonly description: string };
  readonly channels: Readonly<
    Record<
      string,
      { readonly address: string; readonly description: string; readonly messages: Readonly<Record<string, Message>> }
    >
  >;
  readonly operations: Readonly<
    Record<string, { readonly action: string; readonly messages: readonly { readonly $ref: string }[] }>
  >;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
  readonly "x-limits": Readonly<Record<string, number>>;
}

/** A part of the page and how the list of contents names it. */
interface Entry {
  readonly anchor: string;
  readonly verb: string;
  readonly name: string;
  readonly body: Html;
}

/** Everything about both interfaces on one page, with an anchor for each route and message. */
export function docsPage(openApi: unknown, asyncApi: unknown): string {
  const rest = openApi as OpenApi;
  const socket = asyncApi as AsyncApi;
  const routes = rest.tags.map((tag) => ({ ...tag, entries: routesOf(rest, tag.name) }));
  const channels = Object.entries(socket.channels).map(([key, channel]) => ({
    name: channel.address,
    description: channel.description,
    entries: messagesOf(socket, key),
  }));
  const schemas = { ...rest.components.schemas, ...socket.components.schemas };
  const names = Object.keys(schemas).toSorted();
  return page(
    "State Hub API",
    html`<div class="page"><nav aria-label="Contents">
<p><a href="/"><strong>State Hub</strong></a> <span class="soft">${rest.info.version}</span></p>
${[...routes, ...channels].map(contents)}
<details><summary>Schemas</summary><ul>${names.map((name) => html`<li><a href="#schema-${name}">${name}</a></li>`)}</ul></details>
<ul><li><a href="#errors">Errors</a></li><li><a href="#limits">Limits</a></li></ul>
</nav><main>
<h1>State Hub API</h1>
<p class="soft">Version ${rest.info.version}. For programs: <a href="/openapi.json">openapi.json</a>, <a href="/asyncapi.json">asyncapi.json</a>.</p>
<h2 id="rest">REST</h2>${prose(rest.info.description)}
${routes.map(chapter)}
<h2 id="socket">Socket</h2>${prose(socket.info.description)}
${channels.map(chapter)}
<h2 id="schemas">Schemas</h2>
${names.map((name) => html`<section class="one" id="schema-${name}"><h3 class="name">${name}</h3>${prose(schemas[name]?.description as string)}${fieldsOf(schemas[name] ?? {})}</section>`)}
${errors()}
${limits(socket["x-limits"])}
</main></div>`,
  );
}

export function homePage(version: string): string {
  return page(
    "State Hub",
    html`<main class="home"><h1>State Hub</h1>
<p>What every agent is doing now, which ones wait for somebody, and what exactly happened. <span class="soft">Version ${version}</span></p>
<dl><dt><a href="/docs">Documentation</a></dt><dd>every request and message, with examples</dd>
<dt><a href="/openapi.json">openapi.json</a>, <a href="/asyncapi.json">asyncapi.json</a></dt><dd>the same for programs</dd>
<dt><a href="/health">health</a>, <a href="/health/ready">ready</a></dt><dd>whether this hub answers, and whether it can do its work</dd></dl>
</main>`,
  );
}

function page(title: string, body: Html): string {
  const head = html`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>`;
  return `${head}${STYLE}</style></head><body>${body}</body></html>\n`;
}

interface Chapter {
  readonly name: string;
  readonly description: string;
  readonly entries: readonly Entry[];
}

const idOf = (name: string) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-");

function contents({ name, entries }: Chapter): Html {
  return html`<details open><summary>${name}</summary><ul>${entries.map(
    (entry) =>
      html`<li><a href="#${entry.anchor}"><span class="verb ${entry.verb}">${entry.verb}</span><span>${entry.name.replace(/\{\w+\}/g, "{…}")}</span></a></li>`,
  )}</ul></details>`;
}

function chapter({ name, description, entries }: Chapter): Html {
  return html`<h2 id="group-${idOf(name)}">${name}</h2>${prose(description)}${entries.map(
    ({ anchor, verb, name: title, body }) =>
      html`<section class="one" id="${anchor}"><h3><a href="#${anchor}"><span class="verb ${verb}">${verb}</span> <span class="name">${title}</span></a></h3>${body}</section>`,
  )}`;
}

function routesOf({ paths }: OpenApi, tag: string): Entry[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([verb, operation]) => ({
        anchor: `${verb}-${path}`,
        verb,
        name: path,
        body: routeOf(verb, path, operation),
      })),
  );
}

function routeOf(verb: string, path: string, operation: Operation): Html {
  const { summary, description, parameters, requestBody, responses } = operation;
  const successes = Object.entries(responses).filter(([, response]) => response.$ref === undefined);
  return html`<p>${inline(summary)}</p>${prose(description)}
${parameters.length > 0 && html`<h4>Parameters</h4>${parametersOf(parameters)}`}
${requestBody && html`<h4>Body</h4>${fieldsOf(Object.values(requestBody.content)[0]?.schema ?? {})}`}
<h4>Answers</h4><div class="table"><table><tbody>${successes.map(
    ([status, { description: what, content }]) =>
      html`<tr><td><code>${status}</code></td><td>${inline(what ?? "")}</td><td>${bodyOf(content)}</td></tr>`,
  )}</tbody></table></div>
${errorLinks(operation["x-errors"])}
${operation["x-examples"].map((example) => exampleOf(verb, path, example))}`;
}

function bodyOf(content: Operation["responses"][string]["content"]): Html | undefined {
  const [[type, { schema }] = ["", {}]] = Object.entries(content ?? {});
  return schema === undefined ? html`<span class="soft">${type}</span>` : typeOf(schema);
}

function parametersOf(parameters: readonly Parameter[]): Html {
  return html`<div class="table"><table><tbody>${parameters.map(
    ({ name, in: place, required, description, schema }) =>
      html`<tr><td><span class="name${required ? " must" : ""}">${name}</span> <span class="soft">${place}</span></td><td>${typeOf(schema)}</td><td>${inline(description ?? (schema.description as string) ?? "")}</td></tr>`,
  )}</tbody></table></div>`;
}

/** As one would type it, and what comes back. */
function exampleOf(
  verb: string,
  path: string,
  { path: ids = {}, query = {}, headers = {}, body, status, answer }: Example,
): Html {
  const target = path.replace(/\{(\w+)\}/g, (_all, name) => ids[name] ?? name);
  const search = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  const lines = [
    `${verb.toUpperCase()} ${target}${search === "" ? "" : `?${search}`}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : ["", JSON.stringify(body, null, 2)]),
  ];
  const shown = typeof answer === "string" ? answer : answer === undefined ? "" : JSON.stringify(answer, null, 2);
  return html`<h4>Example</h4><pre><code>${lines.join("\n")}</code></pre><pre><code>${[String(status), shown].filter(Boolean).join("\n\n")}</code></pre>`;
}

/** Requests with their acks, then what the hub sends. */
function messagesOf({ channels, operations }: AsyncApi, channel: string): Entry[] {
  const messages = channels[channel]?.messages ?? {};
  return Object.entries(operations)
    .filter(([name]) => name.startsWith(`${channel}.`))
    .flatMap(([, { action, messages: refs }]) => {
      const name = refs[0]?.$ref.split("/").at(-1) ?? "";
      const message = messages[name];
      if (message === undefined) return [];
      const verb = action === "receive" ? "receive" : "send";
      const body = messageOf(message, messages[`${name}.ack`]);
      return [{ anchor: `${channel}-${idOf(name)}`, verb, name, body }];
    });
}

function messageOf(message: Message, ack: Message | undefined): Html {
  const answer = ack?.payload.oneOf?.[0];
  return html`<p>${inline(message.summary)}</p>${prose(message.description)}
<h4>Payload</h4>${fieldsOf(message.payload)}
${answer !== undefined && html`<h4>Ack</h4>${fieldsOf(answer)}`}
${message["x-errors"] && errorLinks(message["x-errors"])}
<h4>Example</h4>${[message, ack].map((one) => one && html`<pre><code>${JSON.stringify(one.examples[0]?.payload, null, 2)}</code></pre>`)}`;
}

function errorLinks(codes: readonly ErrorCode[]): Html {
  return html`<h4>Errors</h4><p>${codes.map((code) => html`<a href="#error-${code}"><code>${code}</code></a> `)}</p>`;
}

function errors(): Html {
  return html`<h2 id="errors">Errors</h2><div class="table"><table><thead><tr><th>Code</th><th>HTTP</th><th>Meaning</th><th>What to do</th></tr></thead><tbody>${Object.entries(
    ERRORS,
  ).map(
    ([code, { status, title, action, retryable }]) =>
      html`<tr id="error-${code}"><td><code>${code}</code></td><td>${status}</td><td>${title}</td><td>${action}${retryable && ", the same request may succeed later"}</td></tr>`,
  )}</tbody></table></div>`;
}

function limits(inForce: Readonly<Record<string, number>>): Html {
  return html`<h2 id="limits">Limits</h2><p>In force at this hub; <code>welcome.limits</code> tells them too.</p>
<div class="table"><table><tbody>${Object.entries(inForce).map(
    ([name, value]) => html`<tr><td><span class="name">${name}</span></td><td>${value.toLocaleString("en")}</td></tr>`,
  )}</tbody></table></div>`;
}
