import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { AGENT_REQUESTS, HUB_TO_AGENT, HUB_TO_VIEWER, VIEWER_REQUESTS } from "../../server/http/describe/messages.ts";
import { Change, Session, Task } from "../../shared/entities.ts";
import { AckError, Problem } from "../../shared/error-schemas.ts";
import { ERRORS } from "../../shared/errors.ts";
import { ID_PATTERN } from "../../shared/ids.ts";
import { AuthRefresh } from "../../shared/messages/auth-refresh.ts";
import { ChangesPublish } from "../../shared/messages/changes-publish.ts";
import { HandshakeAuth } from "../../shared/messages/handshake.ts";
import { Heartbeat } from "../../shared/messages/heartbeat.ts";
import { ProjectJoin } from "../../shared/messages/project-join.ts";
import { ProjectLeave } from "../../shared/messages/project-leave.ts";
import { ProjectSnapshot } from "../../shared/messages/project-snapshot.ts";
import { SessionClose } from "../../shared/messages/session-close.ts";
import { SessionOpen } from "../../shared/messages/session-open.ts";
import { PROTOCOL_VERSION } from "../../shared/protocol.ts";
import { ROOT, readText } from "../support/documents.ts";

const SCHEMAS = {
  HandshakeAuth,
  AuthRefresh,
  SessionOpen,
  ChangesPublish,
  SessionClose,
  Heartbeat,
  ProjectJoin,
  ProjectSnapshot,
  ProjectLeave,
  Session,
  Task,
  Change,
  AckError,
  Problem,
};

/** What is sent in either direction, with its acks. */
const MESSAGES = {
  agents: { ...schemasOf(AGENT_REQUESTS), ...schemasOf(HUB_TO_AGENT) },
  viewers: { ...schemasOf(VIEWER_REQUESTS), ...schemasOf(HUB_TO_VIEWER) },
};

function schemasOf(messages: Readonly<Record<string, { readonly schema: z.ZodType; readonly ack?: z.ZodType }>>) {
  return Object.fromEntries(
    Object.entries(messages).flatMap(([name, { schema, ack }]) => [
      [name, schema],
      ...(ack === undefined ? [] : [[`${name}.ack`, ack]]),
    ]),
  ) as Record<string, z.ZodType>;
}

/** What types alone say, such as the names of messages: interfaces, without comments and layout. */
function interfaces(): string[] {
  const folder = join(ROOT, "shared", "messages");
  return readdirSync(folder)
    .toSorted()
    .flatMap((file) => [...readText("shared", "messages", file).matchAll(/^export interface [\s\S]*?^}/gm)])
    .map(([text]) => text.replaceAll(/\/\*\*[\s\S]*?\*\//g, "").replaceAll(/\s+/g, " "));
}

/** Everything about the wire that types know, as text with one order. */
function describeWire(): string {
  const all = [SCHEMAS, MESSAGES.agents, MESSAGES.viewers].flatMap((some) => Object.entries<z.ZodType>(some));
  const schemas = all.map(([name, schema]) => [name, z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })]);
  return JSON.stringify([schemas, interfaces(), ERRORS, ID_PATTERN.source], (_key, node) =>
    typeof node === "object" && node !== null && !Array.isArray(node)
      ? Object.fromEntries(Object.entries(node).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : node,
  );
}

/**
 * A wire that changed is either an addition, which every client of today survives ([G14]): then note it in
 * docs/PROTOCOL.md and pin the new digest. Or it is not: then PROTOCOL_VERSION needs a new number first.
 */
test("[G14] the wire is the one that is pinned with the protocol's number", () => {
  const digest = createHash("sha256").update(describeWire()).digest("hex").slice(0, 16);
  expect({ version: PROTOCOL_VERSION, digest }).toEqual({ version: 1, digest: "4bf34e0fd82783f0" });
});
