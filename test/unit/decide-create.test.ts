import { describe, expect, test } from "vitest";
import type { CreateCommand } from "../../server/domain/commands.ts";
import { openOf, publishOf, Scene } from "../support/entries.ts";

const ACTOR = { kind: "operator", id: "o" } as const;
const createOf = (over: Partial<CreateCommand> = {}): CreateCommand => ({
  type: "create",
  session_id: "s",
  project_id: "p",
  machine_id: "m",
  actor: ACTOR,
  request_id: "r1",
  ...over,
});

describe("POST /sessions", () => {
  test("[R13] [O21] [R39] creates without an agent, logged with the key's actor", () => {
    const { changes, answer } = new Scene().apply(createOf());
    expect(changes).toMatchObject([{ type: "created", actor: ACTOR, request_id: "r1", version: 1 }]);
    expect(answer).toMatchObject({ created: true, session: { editVersion: 1 } });
    const { entity } = answer.session;
    expect(entity).toMatchObject({
      status: "ACTIVE",
      liveness: "unmonitored",
      incarnation: 0,
      environment: "production",
    });
    expect(entity).not.toHaveProperty("hub_id");
    expect(entity).not.toHaveProperty("agent_id");
  });

  test("[R13] not in a final status, not with the hub's counter", () => {
    expect(new Scene().refusal(createOf({ status: "COMPLETED" })).code).toBe("VALIDATION");
    expect(new Scene().refusal(createOf({ metadata: { recovery_attempts: 0 } })).code).toBe("VALIDATION");
  });

  test.each<Partial<CreateCommand>>([
    {},
    { status: "WAITING" },
    { metadata: { a: { b: 1, c: [null] }, d: "x" } },
    { metadata: { a: null, b: { c: null } } },
    { environment: "test" },
  ])("[R14] [R16] [M3] the same request again changes nothing: %j", (over) => {
    const scene = new Scene();
    scene.apply(createOf(over));
    const { changes, answer } = scene.apply(createOf({ ...over, request_id: "r2" }));
    expect(changes).toEqual([]);
    expect(answer).toMatchObject({ created: false, seq: 1 });
  });

  test("[R14] a field that is not given is not compared", () => {
    const scene = new Scene();
    scene.apply(createOf({ status: "PAUSED", metadata: { a: 1 }, environment: "test" }));
    expect(scene.apply(createOf()).changes).toEqual([]);
  });

  test.each<Partial<CreateCommand>>([
    { status: "IDLE" },
    { machine_id: "m2" },
    { environment: "test" },
    { metadata: { a: 1 } },
    { metadata: {} },
  ])("[R15] another value is ALREADY_EXISTS and names the field: %j", (over) => {
    const scene = new Scene();
    scene.apply(createOf({ metadata: { b: 1 } }));
    expect(scene.refusal(createOf(over))).toMatchObject({
      code: "ALREADY_EXISTS",
      details: { fields: [Object.keys(over)[0]] },
    });
  });

  test("[R14] [M8] the hub's counter is left out of the comparison; sending it back is fine", () => {
    const scene = new Scene();
    scene.apply(createOf({ metadata: { a: 1 } }));
    const record = scene.family.session;
    if (record === undefined) throw new Error("not there");
    scene.family.session = { ...record, entity: { ...record.entity, metadata: { a: 1, recovery_attempts: 2 } } };
    expect(scene.apply(createOf({ metadata: { a: 1 } })).changes).toEqual([]);
    expect(scene.apply(createOf({ metadata: { a: 1, recovery_attempts: 2 } })).changes).toEqual([]);
    expect(scene.refusal(createOf({ metadata: { a: 1, recovery_attempts: 3 } })).code).toBe("ALREADY_EXISTS");
  });
});

describe("PATCH /sessions/{id}", () => {
  const edit = (edits: Extract<Parameters<Scene["apply"]>[0], { type: "edit" }>["edits"]) =>
    ({ type: "edit", session_id: "s", edits, actor: ACTOR, request_id: "r1" }) as const;

  test("[R21] [R23] [R39] edits as an operator, whoever owns the session; its op stays", () => {
    const scene = new Scene();
    scene.apply(openOf());
    scene.apply(publishOf(3, [{ kind: "session", status: "IDLE" }]));
    const { changes, session } = scene.apply(edit([{ kind: "session", metadata: { a: 1 } }]));
    expect(changes).toMatchObject([{ actor: ACTOR, request_id: "r1", patch: { metadata: { a: 1 } } }]);
    expect(changes[0]).not.toHaveProperty("op");
    expect(session).toMatchObject({ lastOp: 3, lastOpSeq: 2, appliedSeq: 3, editVersion: 3 });
    expect(scene.apply(edit([{ kind: "session", metadata: { a: 1 } }])).changes).toEqual([]);
  });

  test("[R24] [R25] [S4] ends a session, and then changes nothing any more", () => {
    const scene = new Scene();
    expect(scene.refusal(edit([{ kind: "session" }])).code).toBe("NOT_FOUND");
    scene.apply(openOf());
    scene.apply(edit([{ kind: "session", status: "CANCELLED" }]));
    expect(scene.refusal(edit([{ kind: "session", metadata: { a: 1 } }]))).toMatchObject({
      code: "INVALID_TRANSITION",
      details: { allowed: [] },
    });
  });

  test("[E5] fields are named without an envelope", () => {
    const scene = new Scene();
    scene.apply(openOf());
    const refusal = scene.refusal(edit([{ kind: "session", waiting_for: { kind: "input", question: "" } }]));
    expect(refusal.details).toEqual({ errors: [{ field: "waiting_for", message: "goes with status WAITING only" }] });
  });
});
