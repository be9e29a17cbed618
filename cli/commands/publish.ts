import { hostname } from "node:os";
import { Command } from "commander";
import { idFrom } from "../../client/identity.ts";
import { SessionStatus, WaitingKind } from "../../shared/entities.ts";
import type { JsonObject } from "../../shared/json.ts";
import { CliError, EXIT } from "../exit.ts";
import { findHubAddress, type HubAddress } from "../hub-address.ts";
import { urlOption, waitOption } from "../options.ts";
import { print, printable, printJson } from "../output.ts";
import { oneOf, parseCount, parseId, parseJsonObject } from "../parse.ts";
import { askHub, HubRefusal } from "../rest.ts";
import { sessionQuery, toldSession } from "../session-argument.ts";
import type { ShownSession } from "../session-text.ts";

interface PublishOptions {
  readonly url?: string;
  readonly project?: string;
  readonly status?: SessionStatus;
  readonly metadata?: JsonObject;
  readonly question?: string;
  readonly kind: "input" | "permission" | "review";
  readonly answer?: readonly string[];
  readonly deadline?: string;
  readonly ifVersion?: number;
  readonly create?: true;
  readonly wait: number;
  readonly json?: true;
}

export function publishCommand(): Command {
  return new Command("publish")
    .summary("change a session from a script")
    .description(
      "Changes status, metadata or question of a session over REST, as an operator would: it works beside the agent that owns the session and takes nothing from it. Tasks are the agent's own and are published by the SDK.",
    )
    .argument("[session]", "session id (default: $STATE_HUB_SESSION)")
    .option("-p, --project <id>", "its project (default inside `state-hub run`: $STATE_HUB_PROJECT)", parseId)
    .option("--status <status>", `new status: ${SessionStatus.options.join(", ")}`, oneOf(SessionStatus.options))
    .option("--metadata <json>", "JSON Merge Patch of the metadata; null removes a key", parseJsonObject)
    .option("--question <text>", "wait for a person: status WAITING with this question")
    .option("--kind <kind>", "what is asked for: input, permission or review", oneOf(WaitingKind.options), "input")
    .option("--answer <text...>", "answers to choose from")
    .option("--deadline <time>", "ISO 8601 time until which the answer is needed")
    .option("--if-version <number>", "only if nobody has edited the session since this version", parseCount)
    .option("--create", "create the session when it is not there (as unmonitored: no agent has opened it)")
    .addOption(waitOption("keep trying for so long while the hub is away", "10s"))
    .addOption(urlOption())
    .option("--json", "the session after the change as JSON on stdout")
    .addHelpText(
      "after",
      `
Examples:
  state-hub publish --metadata '{"step": 3}'                          inside state-hub run
  state-hub publish build-17 --question "Deploy to production?" --kind permission --answer yes no
  state-hub publish backup-monday --create --status COMPLETED

A change whose answer is lost is simply sent again: it comes out the same.`,
    )
    .action(publish);
}

async function publish(session: string | undefined, options: PublishOptions): Promise<void> {
  const sessionId = toldSession(session);
  const hub = findHubAddress(options.url);
  const query = sessionQuery(session, options.project);
  const body = bodyOf(options);
  const after = await patch(hub, sessionId, query, body, options).catch((error: unknown) => {
    if (!(error instanceof HubRefusal) || error.code !== "NOT_FOUND") throw error;
    if (!options.create) throw new CliError(`${error.message}; --create makes it`);
    return create(hub, sessionId, query, body, options);
  });
  if (options.json) printJson(after);
  else print(`${after.session_id}: ${after.status}, version ${after.version}`);
}

function bodyOf(options: PublishOptions): JsonObject {
  const isQuestion = options.question !== undefined;
  if (isQuestion && options.status !== undefined && options.status !== "WAITING") {
    throw new CliError("a question goes with status WAITING only", EXIT.usage);
  }
  if (!isQuestion && (options.answer !== undefined || options.deadline !== undefined)) {
    throw new CliError("--answer and --deadline go with --question", EXIT.usage);
  }
  const body: JsonObject = {
    ...(options.status === undefined ? {} : { status: options.status }),
    ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
    ...(options.question === undefined
      ? {}
      : {
          status: "WAITING",
          waiting_for: {
            kind: options.kind,
            question: options.question,
            ...(options.answer === undefined ? {} : { options: options.answer }),
            ...(options.deadline === undefined ? {} : { deadline: options.deadline }),
          },
        }),
  };
  if (Object.keys(body).length === 0) {
    throw new CliError("nothing to change: give --status, --metadata or --question", EXIT.usage);
  }
  return body;
}

async function patch(
  hub: HubAddress,
  sessionId: string,
  query: { project_id?: string },
  body: JsonObject,
  options: PublishOptions,
): Promise<ShownSession> {
  try {
    return await askHub<ShownSession>(hub, {
      method: "PATCH",
      path: `/sessions/${encodeURIComponent(sessionId)}`,
      query,
      body,
      headers: options.ifVersion === undefined ? {} : { "if-match": `"${options.ifVersion}"` },
      waitMs: options.wait,
    });
  } catch (error) {
    throw explain(error);
  }
}

/** Created in a live status: one that is final from the start does not exist, so it is created and then changed. */
async function create(
  hub: HubAddress,
  sessionId: string,
  query: { project_id?: string },
  body: JsonObject,
  options: PublishOptions,
): Promise<ShownSession> {
  const machine_id = idFrom(hostname()) || "unknown";
  const creation = { session_id: sessionId, machine_id, ...query };
  await askHub(hub, { method: "POST", path: "/sessions", body: creation, waitMs: options.wait });
  return await patch(hub, sessionId, query, body, options);
}

function explain(error: unknown): unknown {
  if (!(error instanceof HubRefusal)) return error;
  if (error.code === "INVALID_TRANSITION") {
    const { from, allowed } = error.details;
    if (!Array.isArray(allowed)) return error;
    const next =
      allowed.length === 0
        ? "it accepts no change any more; a new run is a new session"
        : `it may become ${allowed.join(", ")}`;
    return new CliError(printable(`the session is ${String(from)}: ${next}`));
  }
  if (error.code === "VERSION_CONFLICT") {
    const current = error.details.current as { version?: unknown } | undefined;
    return new CliError(
      `somebody has edited the session since: it is at version ${String(current?.version)} now; look at it with \`state-hub get\` and decide again`,
    );
  }
  if (error.code === "AMBIGUOUS") return new CliError(`${error.message}; name the project with --project`);
  return error;
}
