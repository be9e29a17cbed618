import { z } from "zod";
import type { FinalStatus } from "../shared/entities.ts";
import { type JsonObject, jsonBytes } from "../shared/json.ts";
import { DEFAULT_LIMITS, type Limits } from "../shared/limits.ts";
import { Edit } from "../shared/messages/changes-publish.ts";
import { Heartbeat } from "../shared/messages/heartbeat.ts";
import { SessionClose } from "../shared/messages/session-close.ts";
import { SessionOpen, type SessionOpenInput } from "../shared/messages/session-open.ts";
import { parseInput } from "../shared/validate.ts";
import type { BeatInfo, SessionSpec } from "./agent-types.ts";
import { StateHubError } from "./errors.ts";
import { defaultMachineId } from "./identity.ts";
import { entityOf } from "./merge-edits.ts";
import type { EntryContent } from "./outbox.ts";
import { plainCopy } from "./plain-copy.ts";

// What callers give is copied and checked as the hub would, before anything is sent: all of these throw `VALIDATION` or
// `PAYLOAD_TOO_LARGE`.

/** Bytes of a frame around its content: packet type, namespace, ack id, event name, ids, op. */
export const ENVELOPE_BYTES = 768;

export function openRequest(spec: SessionSpec): SessionOpenInput {
  const request = plainCopy({
    session_id: spec.sessionId,
    project_id: spec.projectId,
    machine_id: spec.machineId ?? defaultMachineId(),
    status: spec.status,
    environment: spec.environment,
    metadata: spec.metadata,
    parent_session_id: spec.parentSessionId,
    resumed_from: spec.resumedFrom,
    takeover: spec.takeover,
  });
  checked(SessionOpen, request, "session");
  assertFits(request, DEFAULT_LIMITS);
  return request as SessionOpenInput;
}

export function publishContent(edits: Edit | readonly Edit[], limits: Limits): EntryContent {
  const { changes } = checked(Changes, { changes: plainCopy(Array.isArray(edits) ? edits : [edits]) }, "publish");
  if (changes.length > DEFAULT_LIMITS.changes_per_publish) {
    throw new StateHubError("VALIDATION", `a publish holds at most ${DEFAULT_LIMITS.changes_per_publish} changes`);
  }
  const entities = new Set(changes.map(entityOf));
  if (entities.size < changes.length) {
    throw new StateHubError("VALIDATION", "a publish may name each task, and the session, once");
  }
  assertFits(changes, limits);
  return { kind: "publish", edits: changes };
}

const Changes = z.object({ changes: z.array(Edit).min(1, "must hold at least one change") });

export function closeContent(status: FinalStatus, metadata: JsonObject | undefined, limits: Limits): EntryContent {
  const content = { status, ...(metadata === undefined ? {} : { metadata: plainCopy(metadata) as JsonObject }) };
  checked(SessionClose, { session_id: "s", incarnation: 1, op: 1, ...content }, "close");
  assertFits(content, limits);
  return { kind: "close", ...content };
}

/** What is given over what was said before; an activity that is too long is cut. */
export function nextBeat(before: BeatInfo, given: BeatInfo, limits: Limits): BeatInfo {
  const next = { ...before, ...(plainCopy(given) as BeatInfo) };
  const beat =
    typeof next.activity === "string" ? { ...next, activity: cut(next.activity, limits.activity_chars) } : next;
  checked(Heartbeat, { sessions: [{ session_id: "s", incarnation: 1, ...beat }] }, "beat");
  assertFits(beat, limits);
  return beat;
}

/** Checks as the hub does. */
export function checked<S extends z.ZodType>(schema: S, input: unknown, what: string): z.infer<S> {
  const parsed = parseInput(schema, input);
  if (parsed.ok) return parsed.value;
  throw new StateHubError(parsed.refusal.code, `${what}: ${parsed.refusal.message}`, {
    details: parsed.refusal.details,
  });
}

function assertFits(content: unknown, { frame_bytes }: Limits): void {
  if (jsonBytes(content) + ENVELOPE_BYTES > frame_bytes) throw tooLarge(frame_bytes);
}

export function tooLarge(frameBytes: number): StateHubError {
  return new StateHubError("PAYLOAD_TOO_LARGE", `larger than the ${frameBytes} bytes that the hub takes in one frame`);
}

/** Cuts between characters, never inside a surrogate pair. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = /[\uD800-\uDBFF]/.test(text.charAt(length - 1)) ? length - 1 : length;
  return text.slice(0, end);
}
