import type { z } from "zod";
import { Problem } from "../../../shared/error-schemas.ts";
import { ERRORS, type ErrorCode } from "../../../shared/errors.ts";
import { Id } from "../../../shared/ids.ts";
import { JSON_TYPES } from "../body.ts";
import {
  type Access,
  type Answer,
  type Declaration,
  type Endpoint,
  type Example,
  METHODS,
  type RequestHeader,
  type Resource,
} from "./declaration.ts";
import { type JsonSchema, SchemaBook } from "./json-schema.ts";

/** Routes of one kind, under a heading. */
export interface Group {
  readonly name: string;
  readonly about: string;
  readonly resources: readonly Resource[];
}

type Json = Record<string, unknown>;

const WHO: Readonly<Record<Access, string>> = {
  public: "No key needed.",
  viewer: "Keys of every role.",
  agent: "Agent and operator keys.",
  operator: "Operator keys.",
};

const REQUEST_HEADERS: Readonly<Record<RequestHeader, string>> = {
  "If-Match": 'Versions as ETag shows them, such as `"3"`, or `*`; else 412.',
  "If-None-Match": "An ETag; if it is still true, the answer is 304.",
  "Last-Event-ID": "The `id` of the last event, to go on from there.",
};

const RESPONSE_HEADERS = {
  ETag: "The version, in quotes; of a document, its digest.",
  Location: "Where it is.",
  "Cache-Control": "Not to be kept.",
  "X-Request-Id": "The request's own where it is harmless, else a new one; stands in the hub's log too.",
  "Retry-After": "Seconds to wait.",
} as const;

/** OpenAPI 3.1 of these routes; all that is in it comes from what they are mounted with. */
export function openApi(groups: readonly Group[], version: string): Json {
  const book = new SchemaBook();
  const paths: Record<string, Json> = {};
  for (const { name, resources } of groups) {
    for (const resource of resources) {
      const path = resource.path.replace(/:(\w+)/g, "{$1}");
      paths[path] = Object.fromEntries(
        METHODS.flatMap((method) => {
          const endpoint = resource[method];
          return endpoint === undefined ? [] : [[method, operation(book, name, path, endpoint)]];
        }),
      );
    }
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "State Hub",
      version,
      summary: "What every agent is doing now, durable and live",
      description: ABOUT,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ apiKey: [] }, { bearer: [] }],
    tags: groups.map(({ name, about }) => ({ name, description: about })),
    paths,
    components: {
      schemas: book.named,
      headers: Object.fromEntries(
        Object.entries(RESPONSE_HEADERS).map(([name, description]) => [
          name,
          { description, schema: { type: "string" } },
        ]),
      ),
      responses: problemResponses({ "application/problem+json": { schema: book.schemaOf(Problem) } }),
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "X-Api-Key" },
        bearer: { type: "http", scheme: "bearer", description: "An API key, or a JWT in place of one." },
      },
    },
  };
}

const ABOUT = `Operators and programs without a socket get here what a socket gets (\`/asyncapi.json\`).

Errors are \`application/problem+json\` whose \`code\` says what to do; a client treats a code that it does not know by its HTTP status. Every answer carries \`X-Request-Id\`. Objects may gain fields: ignore those that you do not know. HEAD is answered wherever GET is, another method of a known path with 405 and \`Allow\`.`;

/** One for each status, named after it. */
function problemResponses(content: Json): Json {
  const said = [...statusesOf(Object.keys(ERRORS) as ErrorCode[])].map(
    ([status, codes]) => [status, codes.map((code) => `\`${code}\`: ${ERRORS[code].title}`).join(". ")] as const,
  );
  return Object.fromEntries(
    [...said, [415, "`VALIDATION`: Unsupported media type"] as const].map(([status, description]) => {
      const headers = headerRefs(["X-Request-Id", ...(RETRYABLE.has(status) ? (["Retry-After"] as const) : [])]);
      return [`Problem${status}`, { description, headers, content }];
    }),
  );
}

const RETRYABLE: ReadonlySet<number> = new Set([429, 503, 504]);

function operation(book: SchemaBook, tag: string, path: string, endpoint: Endpoint): Json {
  const { access, declaration } = endpoint;
  const { name, summary, detail, body, examples, answers } = declaration;
  const codes = [...new Set([...endpoint.errors, ...(declaration.errors ?? [])])];
  return {
    operationId: name,
    tags: [tag],
    summary,
    description: detail === undefined ? WHO[access] : `${detail}\n\n${WHO[access]}`,
    ...(access === "public" ? { security: [] } : {}),
    "x-roles": ROLES[access],
    parameters: parametersOf(book, path, declaration),
    ...(body === undefined ? {} : { requestBody: requestBody(book, body, endpoint) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, answerOf(book, Number(status), answer, examples)]),
      ),
      ...problems(codes, declaration),
    },
    "x-errors": codes.toSorted(),
    "x-examples": examples,
  };
}

const ROLES: Readonly<Record<Access, readonly string[]>> = {
  public: [],
  viewer: ["viewer", "agent", "operator"],
  agent: ["agent", "operator"],
  operator: ["operator"],
};

function parametersOf(book: SchemaBook, path: string, { query, headers = [], examples }: Declaration): Json[] {
  const [example] = examples;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: book.schemaOf(Id),
    ...exampleOf(example.path?.[name]),
  }));
  const { properties = {}, required = [] } = (query === undefined ? {} : book.schemaOf(query)) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  const inQuery = Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    ...(description === undefined ? {} : { description }),
    ...(required.includes(name) ? { required: true } : {}),
    schema,
    ...exampleOf(example.query?.[name]),
  }));
  const inHeaders = headers.map((name) => ({
    name,
    in: "header",
    description: REQUEST_HEADERS[name],
    schema: { type: "string" },
    ...exampleOf(example.headers?.[name]),
  }));
  return [...inPath, ...inQuery, ...inHeaders];
}

const exampleOf = (value: unknown) => (value === undefined ? {} : { example: value });

function requestBody(book: SchemaBook, body: z.ZodType, { declaration, isBodyOptional = false }: Endpoint): Json {
  const { types = JSON_TYPES, examples } = declaration;
  const example = examples.find((one) => one.body !== undefined)?.body;
  const content = { schema: book.schemaOf(body), ...exampleOf(example) };
  return { required: !isBodyOptional, content: Object.fromEntries(types.map((type) => [type, content])) };
}

function answerOf(book: SchemaBook, status: number, answer: Answer, examples: readonly Example[]): Json {
  const { what, body, type = "application/json", headers = [] } = answer;
  const example = examples.find((one) => one.status === status)?.answer;
  const content = { ...(body === undefined ? {} : { schema: book.schemaOf(body) }), ...exampleOf(example) };
  const hasContent = body !== undefined || answer.type !== undefined;
  return {
    description: what,
    headers: headerRefs(["X-Request-Id", ...headers]),
    ...(hasContent ? { content: { [type]: content } } : {}),
    ...(answer.links === undefined ? {} : { links: linksOf(answer.links) }),
  };
}

function linksOf({ to, with: fields }: NonNullable<Answer["links"]>): Json {
  const parameters = Object.fromEntries(
    Object.entries(fields).map(([parameter, field]) => [parameter, `$response.body#/${field}`]),
  );
  return Object.fromEntries(to.map((name) => [name, { operationId: name, parameters }]));
}

/** Statuses that only a body can cause have no code of their own. */
function problems(codes: readonly ErrorCode[], { body, answers }: Declaration): Json {
  const statuses = [...statusesOf(codes).keys(), ...(body === undefined ? [] : [415])];
  return Object.fromEntries(
    statuses
      .filter((status) => answers[status] === undefined)
      .map((status) => [status, { $ref: `#/components/responses/Problem${status}` }]),
  );
}

function statusesOf(codes: readonly ErrorCode[]): ReadonlyMap<number, ErrorCode[]> {
  return Map.groupBy(
    codes.toSorted((a, b) => ERRORS[a].status - ERRORS[b].status),
    (code) => ERRORS[code].status,
  );
}

function headerRefs(names: readonly (keyof typeof RESPONSE_HEADERS)[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
