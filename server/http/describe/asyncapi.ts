import { z } from "zod";
import { AckError } from "../../../shared/error-schemas.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Limits } from "../../../shared/limits.ts";
import { HandshakeAuth } from "../../../shared/messages/handshake.ts";
import { AGENTS_NAMESPACE, VIEWERS_NAMESPACE } from "../../../shared/protocol.ts";
import { SchemaBook } from "./json-schema.ts";
import {
  AGENT_REQUESTS,
  HUB_TO_AGENT,
  HUB_TO_VIEWER,
  type HubMessage,
  type RequestMessage,
  VIEWER_REQUESTS,
} from "./messages.ts";

type Json = Record<string, unknown>;

interface Channel {
  readonly address: string;
  readonly about: string;
  readonly requests: Readonly<Record<string, RequestMessage>>;
  readonly heard: Readonly<Record<string, HubMessage>>;
}

const CHANNELS: Readonly<Record<string, Channel>> = {
  agents: {
    address: AGENTS_NAMESPACE,
    about: "For agents and operators: report sessions and tasks, and hear what others do to them.",
    requests: AGENT_REQUESTS,
    heard: HUB_TO_AGENT,
  },
  viewers: {
    address: VIEWERS_NAMESPACE,
    about: "For everybody with a key: follow projects, and be able to prove that nothing was missed.",
    requests: VIEWER_REQUESTS,
    heard: HUB_TO_VIEWER,
  },
};

/** What every request can be refused with. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  "VALIDATION",
  "FORBIDDEN",
  "RATE_LIMITED",
  "INTERNAL",
  "OVERLOADED",
  "UNAVAILABLE",
  "DRAINING",
  "TIMEOUT",
];

/** AsyncAPI 3 of the socket: what the hub receives and sends, from the schemas that it checks messages by. */
export function asyncApi(version: string, limits: Limits): Json {
  const book = new SchemaBook();
  const operations: Json = {};
  const channels = Object.fromEntries(
    Object.entries(CHANNELS).map(([key, { address, about, requests, heard }]) => {
      const messages: Json = {};
      const ref = (message: string) => ({ $ref: `#/channels/${key}/messages/${message}` });
      for (const [name, request] of Object.entries(requests)) {
        messages[name] = requestMessage(book, name, request);
        messages[`${name}.ack`] = ackMessage(book, name, request);
        operations[operationName(key, "receive", name)] = {
          action: "receive",
          channel: { $ref: `#/channels/${key}` },
          summary: request.summary,
          messages: [ref(name)],
          reply: { channel: { $ref: `#/channels/${key}` }, messages: [ref(`${name}.ack`)] },
        };
      }
      for (const [name, message] of Object.entries(heard)) {
        messages[name] = hubMessage(book, name, message);
        operations[operationName(key, "send", name)] = {
          action: "send",
          channel: { $ref: `#/channels/${key}` },
          summary: message.summary,
          messages: [ref(name)],
        };
      }
      return [key, { address, title: `Namespace ${address}`, description: about, messages }];
    }),
  );
  const handshake = book.schemaOf(HandshakeAuth);
  return {
    asyncapi: "3.0.0",
    info: { title: "State Hub", version, description: ABOUT, license: { name: "MIT" } },
    defaultContentType: "application/json",
    servers: {
      hub: {
        host: "{host}",
        pathname: "/socket.io/",
        protocol: "ws",
        description: "Socket.IO 4 (Engine.IO 4), websocket transport only. Behind TLS: wss.",
        variables: { host: { default: "127.0.0.1:3000", description: "Of any hub of the installation." } },
        security: [{ $ref: "#/components/securitySchemes/apiKey" }],
      },
    },
    channels,
    operations,
    components: {
      schemas: { ...book.named, HandshakeAuth: handshake },
      securitySchemes: {
        apiKey: {
          type: "httpApiKey",
          in: "header",
          name: "X-Api-Key",
          description: "Or `auth.key` of the CONNECT, or `Authorization: Bearer`. Never in the URL.",
        },
      },
    },
    "x-limits": limits,
  };
}

const ABOUT = `A client connects to a namespace with \`auth\` (\`HandshakeAuth\`), hears \`welcome\`, then sends requests: one event with one JSON object and an ack callback. Every ack is \`{"ok": true, …}\` or \`{"ok": false, "error": {…}}\`. Objects may gain fields, and messages may be added: ignore those that you do not know. The rules in full are docs/PROTOCOL.md of the project; REST is \`/openapi.json\`. \`x-limits\` are the limits in force at this hub, as \`welcome.limits\` tells them.`;

function operationName(channel: string, action: "send" | "receive", name: string): string {
  return `${channel}.${action}.${name.replace(":", "-")}`;
}

function requestMessage(book: SchemaBook, name: string, request: RequestMessage): Json {
  const { summary, detail, schema, isAckOptional, errors, example } = request;
  const ack = isAckOptional ? "An ack may be asked for." : "Without an ack callback it is not applied.";
  return {
    name,
    title: name,
    summary,
    description: detail === undefined ? ack : `${detail}\n\n${ack}`,
    payload: book.schemaOf(schema),
    examples: [{ name: "request", payload: example }],
    "x-errors": [...new Set([...COMMON_ERRORS, ...errors])].toSorted(),
  };
}

function ackMessage(book: SchemaBook, name: string, { ack, answer }: RequestMessage): Json {
  const error = { type: "object", properties: { ok: { const: false }, error: book.schemaOf(AckError) } };
  return {
    name: `${name}.ack`,
    title: `Ack of ${name}`,
    payload: { oneOf: [book.schemaOf(okAck(ack)), { ...error, required: ["ok", "error"] }] },
    examples: [{ name: "ok", payload: { ok: true, ...answer } }],
  };
}

/** `ok` beside the fields of the answer. */
function okAck(ack: RequestMessage["ack"]): z.ZodType {
  const withOk = (answer: z.ZodObject) => z.object({ ok: z.literal(true), ...answer.shape });
  return ack instanceof z.ZodObject ? withOk(ack) : z.union(ack.options.map(withOk));
}

function hubMessage(book: SchemaBook, name: string, { summary, schema, example }: HubMessage): Json {
  return {
    name,
    title: name,
    summary,
    payload: book.schemaOf(schema),
    examples: [{ name: "sent", payload: example }],
  };
}
