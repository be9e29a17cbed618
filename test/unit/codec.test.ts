import { mongo } from "mongoose";
import { describe, expect, test } from "vitest";
import {
  decodeEntry,
  decodeSession,
  decodeTask,
  encodeEntry,
  encodeSession,
  encodeTask,
} from "../../server/mongo/codec.ts";
import { atSecond, openOf, publishOf, Scene } from "../support/entries.ts";

/** Through BSON and back, with the options of the hub's connection. */
function stored<T extends object>(document: T): T {
  return mongo.BSON.deserialize(mongo.BSON.serialize(document, { ignoreUndefined: true })) as T;
}

function played(): Scene {
  const scene = new Scene();
  scene.apply({
    ...openOf(),
    status: "WAITING",
    parent_session_id: "x",
    resumed_from: "y",
    metadata: { é: [null, 1.5] },
  });
  scene.apply(
    publishOf(9_007_199_254_740_990, [
      { kind: "session", metadata: { big: 9_007_199_254_740_991, small: 5e-324, "": { deep: [{ a: null }] } } },
      { kind: "task", task_id: "t", title: "t", status: "COMPLETED", progress: 1 },
      { kind: "task", task_id: "u", title: "u" },
    ]),
  );
  scene.apply(publishOf(9_007_199_254_740_991, [{ kind: "session", status: "FAILED", metadata: { é: null } }]));
  return scene;
}

describe("documents and back", () => {
  test("entries: changes with patches, states, nulls and numbers as they were", () => {
    for (const entry of played().entries) {
      const document = encodeEntry(entry);
      expect(Object.keys(document._id)).toEqual(["p", "s"]);
      expect(decodeEntry(stored(document))).toEqual(entry);
    }
  });

  test("[G4] sessions and tasks: times are dates in the document and text on the wire", () => {
    const { family } = played();
    const record = family.session;
    if (record === undefined) throw new Error("no session");
    const lost = { ...record, entity: { ...record.entity, lost_at: atSecond(3) } };
    for (const one of [record, lost]) {
      const document = encodeSession(one);
      expect(document.created_at).toBeInstanceOf(Date);
      expect(document.ended_at).toBeInstanceOf(Date);
      expect(decodeSession(stored(document))).toEqual(one);
    }
    for (const task of family.tasks.values()) expect(decodeTask(stored(encodeTask(task)))).toEqual(task);
  });

  test("[G7] what has no value is absent, in the document too", () => {
    const scene = new Scene();
    scene.apply({ ...openOf(), agent_id: undefined });
    const document = stored(encodeSession(scene.family.session as NonNullable<Scene["family"]["session"]>));
    for (const field of ["agent_id", "ended_at", "lost_at", "waiting_for", "resumed_from"]) {
      expect(document).not.toHaveProperty(field);
    }
  });
});
