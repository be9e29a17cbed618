import type { MirrorChange } from "../client/mirror.ts";
import type { JsonObject, JsonValue } from "../shared/json.ts";
import { isJsonObject } from "../shared/json.ts";
import { printable } from "./output.ts";
import { percent } from "./session-text.ts";

/** Metadata values longer than this say little on one line. */
const VALUE_CHARS = 60;

/** `07:12:03.123  #42  build-17/compile  IN_PROGRESS → COMPLETED  100 %  by agent builder` */
export function changeText(told: MirrorChange): string {
  const { change } = told;
  const subject = change.kind === "session" ? change.id : `${change.session_id}/${change.id}`;
  const actor = `by ${change.actor.kind} ${change.actor.id}`;
  return printable([change.at.slice(11, 23), `#${change.seq}`, subject, ...whatChanged(told), actor].join("  "));
}

function whatChanged({ change, before }: MirrorChange): string[] {
  const isFirst = change.state !== undefined && before === undefined;
  const now = (change.state ?? change.patch ?? {}) as unknown as JsonObject;
  const was = (change.state === undefined || isFirst ? {} : before) as unknown as JsonObject;
  const parts: string[] = [];
  if (change.type === "created" || change.type === "reopened" || change.type === "removed") parts.push(change.type);
  if (typeof now.status === "string" && now.status !== was.status) {
    parts.push(before === undefined || isFirst ? now.status : `${before.status} → ${now.status}`);
  }
  if (change.type !== "created" && typeof now.liveness === "string" && now.liveness !== was.liveness)
    parts.push(now.liveness);
  if (isFirst && change.kind === "session" && typeof now.machine_id === "string") parts.push(`on ${now.machine_id}`);
  if (!isFirst && typeof now.hub_id === "string" && now.hub_id !== was.hub_id) parts.push(`back on hub ${now.hub_id}`);
  if (typeof now.title === "string" && now.title !== was.title) parts.push(JSON.stringify(now.title));
  if (typeof now.progress === "number" && now.progress !== was.progress) parts.push(percent(now.progress));
  if (isJsonObject(now.waiting_for) && typeof now.waiting_for.question === "string") {
    parts.push(`asks ${JSON.stringify(now.waiting_for.question)}`);
  }
  if (isJsonObject(now.metadata)) parts.push(...metadataText(now.metadata, isFirst));
  return parts;
}

function metadataText(metadata: JsonObject, isWhole: boolean): string[] {
  return Object.entries(metadata).map(([key, value]) => {
    if (value === null && !isWhole) return `-${key}`;
    return `${key}=${short(value)}`;
  });
}

function short(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length <= VALUE_CHARS ? text : `${text.slice(0, VALUE_CHARS - 1)}…`;
}
