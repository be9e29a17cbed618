// Preloaded into a hub (`node --import`), it makes of this build a later one, N+1: the same layout and protocol, and
// everything in which a later build of the same numbers may differ. Between hubs and in the log: fields that this build
// does not know, a kind and a type of change, a note. To clients: fields, an event, an error code.
//
// It changes what the build writes at three places, by name; when one is no longer there, the hub does not start.

import { registerHooks } from "node:module";
import { Namespace } from "socket.io";

const WRAPPED = {
  "/server/writer/compose.ts": ["export function compose(", "compose"],
  "/server/realtime/json-parser.ts": ["  encode(packet: Packet): string[] {", "encode"],
};

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const file = Object.keys(WRAPPED).find((path) => url.endsWith(path));
    if (file === undefined) return loaded;
    const [place, name] = WRAPPED[file];
    const source = String(loaded.source);
    if (!source.includes(place)) throw new Error(`later-hub: ${file} has no ${place}`);
    return { ...loaded, source: wrap(source, place, name) };
  },
});

function wrap(source, place, name) {
  const own = source.replace(place, place.replace(name, `${name}OfThisBuild`));
  return name === "compose"
    ? `${own}\nexport function compose(...args) { return globalThis.laterHub.composed(composeOfThisBuild(...args)); }\n`
    : own.replace(
        "encodeOfThisBuild(packet",
        "encode(packet) { return globalThis.laterHub.packets(packet).flatMap((one) => this.encodeOfThisBuild(one)); }\n  encodeOfThisBuild(packet",
      );
}

const { serverSideEmit } = Namespace.prototype;
Namespace.prototype.serverSideEmit = function emit(event, ...message) {
  serverSideEmit.call(this, "later_note", ...message);
  return serverSideEmit.call(this, event, ...message);
};

let publishes = 0;

globalThis.laterHub = {
  /** Entities have labels, changes a cause, entries a digest, and behind every commit an artifact is logged. */
  composed(result) {
    const { commit } = result;
    if (commit.entry === undefined) return result;
    for (const draft of commit.drafts.values()) {
      const { session, tasks } = draft.touched;
      for (const record of [session, ...tasks.values()]) if (record !== undefined) record.entity.labels = ["later"];
    }
    const changes = commit.entry.changes.map((change) => ({
      ...change,
      type: change.type === "updated" ? "annotated" : change.type,
      cause: { of: [1, { deep: true }] },
      ...(change.state === undefined ? {} : { state: { ...change.state, labels: ["later"] } }),
      ...(change.patch === undefined ? {} : { patch: { ...change.patch, labels: ["later"] } }),
    }));
    const seq = commit.entry.to_seq + 1;
    const { session_id } = changes[0];
    const artifact = { artifact_id: `file-${seq}`, session_id, version: 1, seq };
    changes.push({
      seq,
      kind: "artifact",
      id: artifact.artifact_id,
      session_id,
      version: 1,
      type: "attached",
      actor: { kind: "hub", id: commit.entry.hub_id },
      state: artifact,
    });
    return { ...result, commit: { ...commit, entry: { ...commit.entry, to_seq: seq, digest: "0f", changes } } };
  },

  /** Every object that a client gets says more; after welcome an event comes; some publishes are asked for once more. */
  packets(packet) {
    if (!Array.isArray(packet.data)) return [packet];
    if (packet.type === 3) return [{ ...packet, data: [isBusy(packet.data[0]) ? BUSY : more(packet.data[0])] }];
    const said = { ...packet, data: packet.data.map(more) };
    return packet.data[0] === "welcome" ? [said, { ...packet, data: ["later:event", { any: "thing" }] }] : [said];
  },
};

/** The publish is applied, and the client hears a code that it does not know: the same op settles it. */
const BUSY = {
  ok: false,
  error: { code: "BUSY_LATER", message: "again, please", retryable: true, retry_after_ms: 20, request_id: "later" },
};

function isBusy(ack) {
  if (ack?.ok !== true || ack.results === undefined || ack.duplicate) return false;
  publishes += 1;
  return publishes % 5 === 0;
}

function more(value) {
  return typeof value === "object" && value !== null ? { ...value, later_field: { nested: [true] } } : value;
}
