import { describe, expect, test } from "vitest";
import type { OpenCommand } from "../../server/domain/commands.ts";
import { openOf, publishOf, Scene } from "../support/entries.ts";

function opened(over: Partial<OpenCommand> = {}): Scene {
  const scene = new Scene();
  scene.apply({ ...openOf(), ...over });
  return scene;
}

const STRANGER = { ...openOf(), agent_id: "b", machine_id: "m2" };
const proof = (incarnation: number) => ({ proven_incarnation: incarnation, showed_token: true });
/** A token that does not fit. */
const NO_PROOF = proof(0);

describe("a session that is not there", () => {
  test("[O2] [O12] [G15] [G16] is created with version 1 at the entry's time", () => {
    const { changes, answer } = new Scene().apply({ ...openOf(), parent_session_id: "x", resumed_from: "y" });
    expect(changes).toMatchObject([{ seq: 1, type: "created", version: 1, incarnation: 1, actor: { kind: "agent" } }]);
    expect(changes[0]).not.toHaveProperty("patch");
    expect(answer).toMatchObject({ created: true, resumed: false, seq: 1, session: { lastOp: 0, editVersion: 1 } });
    expect(answer.session.entity).toMatchObject({
      liveness: "online",
      hub_id: "hub.1",
      incarnation: 1,
      parent_session_id: "x",
      resumed_from: "y",
    });
    expect(changes[0]?.state).toEqual(answer.session.entity);
    expect(answer.session.entity.created_at).toBe(answer.session.entity.updated_at);
  });

  test("[O3] created WAITING, it waits for input", () => {
    const { answer } = new Scene().apply({ ...openOf(), status: "WAITING" });
    const { waiting_for, created_at } = answer.session.entity;
    expect(waiting_for).toEqual({ kind: "input", question: "", since: created_at });
  });

  test("[O4] is not created in a final status", () => {
    expect(new Scene().refusal({ ...openOf(), status: "FAILED" })).toMatchObject({
      code: "VALIDATION",
      details: { errors: [{ field: "status" }] },
    });
  });

  test("[M3] [M6] [M8] metadata of a creation drops nulls, is limited, and has no counter of the hub's", () => {
    const { answer } = new Scene().apply({ ...openOf(), metadata: { a: null, b: { c: null, d: [null] } } });
    expect(answer.session.entity.metadata).toEqual({ b: { d: [null] } });
    const big = { ...openOf(), metadata: { a: "x".repeat(17_000) } };
    expect(new Scene().refusal(big).code).toBe("PAYLOAD_TOO_LARGE");
    expect(new Scene().refusal({ ...openOf(), metadata: { recovery_attempts: 1 } }).code).toBe("VALIDATION");
  });
});

describe("a session that is there", () => {
  test("[O6] (a) incarnation and token return to the same incarnation, whoever asks", () => {
    const { answer, changes } = opened().apply({ ...STRANGER, ...proof(1) }, { hubId: "hub.2" });
    expect(answer).toMatchObject({ created: false, resumed: true });
    expect(answer.session.entity).toMatchObject({ incarnation: 1, agent_id: "b", machine_id: "m2", hub_id: "hub.2" });
    expect(changes).toMatchObject([{ type: "updated", actor: { kind: "hub" } }]);
  });

  test("[O14] [D7] the return on the same hub with nothing else different is no change", () => {
    const { changes, answer } = opened().apply({ ...openOf(), ...proof(1) });
    expect(changes).toEqual([]);
    expect(answer).toMatchObject({ resumed: true, seq: 1, results: [{ changed: false, version: 1 }] });
  });

  test("[P16] a return spoils nobody's expected_version", () => {
    const scene = opened();
    scene.apply({ ...openOf(), ...proof(1) }, { hubId: "hub.2" });
    scene.apply(publishOf(1, [{ kind: "session", status: "IDLE", expected_version: 1 }]));
    expect(scene.family.session?.entity.version).toBe(3);
  });

  test("[O7] [O13] (b) the same agent_id without a token takes it with the next incarnation", () => {
    const scene = opened();
    scene.apply(publishOf(5, [{ kind: "session", status: "IDLE" }]));
    const { answer, changes } = scene.apply(openOf());
    expect(answer).toMatchObject({ created: false, resumed: false, session: { lastOp: 0, lastOpSeq: 0 } });
    expect(changes).toMatchObject([{ type: "reopened", incarnation: 2, state: { incarnation: 2 } }]);
    expect(changes[0]).not.toHaveProperty("patch");
  });

  test("[O7] [H13] no agent_id is nobody's agent_id", () => {
    const scene = opened({ agent_id: undefined });
    expect(scene.refusal({ ...openOf(), agent_id: undefined }).code).toBe("ALREADY_OWNED");
  });

  test("[O8] [O21] (c) an unmonitored session is free; its first agent counts no recovery", () => {
    const scene = new Scene();
    scene.apply({
      type: "create",
      session_id: "s",
      project_id: "p",
      machine_id: "m0",
      actor: { kind: "operator", id: "o" },
      request_id: "r",
    });
    const { answer, changes } = scene.apply({ ...STRANGER, ...NO_PROOF });
    expect(changes).toMatchObject([{ type: "reopened", version: 2 }]);
    expect(answer.session.entity).toMatchObject({ incarnation: 1, liveness: "online", metadata: {} });
  });

  test("[O9] (d) anybody else is refused, unless by takeover", () => {
    expect(opened().refusal(STRANGER)).toMatchObject({ code: "ALREADY_OWNED", details: { agent_id: "a" } });
    const { answer } = opened().apply({ ...STRANGER, takeover: true });
    expect(answer).toMatchObject({ resumed: false, session: { entity: { incarnation: 2, agent_id: "b" } } });
  });

  test("[O10] a superseded process does not come back, neither by its old token nor by its agent_id", () => {
    const scene = opened();
    scene.apply(openOf());
    expect(scene.refusal({ ...openOf(), ...proof(1) }).code).toBe("ALREADY_OWNED");
    expect(scene.refusal({ ...openOf(), ...NO_PROOF }).code).toBe("ALREADY_OWNED");
    expect(scene.apply({ ...openOf(), ...proof(1), takeover: true }).answer.session.entity.incarnation).toBe(3);
  });

  test("[O15] status, metadata and origin of the request are ignored", () => {
    const scene = opened({ metadata: { a: 1 } });
    const { answer } = scene.apply({
      ...openOf(),
      status: "PAUSED",
      environment: "test",
      metadata: { b: 2 },
      parent_session_id: "x",
      resumed_from: "y",
    });
    expect(answer.session.entity).toMatchObject({ status: "ACTIVE", environment: "production", metadata: { a: 1 } });
    expect(answer.session.entity).not.toHaveProperty("parent_session_id");
  });

  test("[O16] a final session is not opened, by nobody", () => {
    const scene = opened();
    scene.apply(publishOf(1, [{ kind: "session", status: "COMPLETED" }]));
    for (const open of [openOf(), { ...openOf(), ...proof(1) }, { ...STRANGER, takeover: true }]) {
      expect(scene.refusal(open)).toMatchObject({ code: "INVALID_TRANSITION", details: { allowed: [] } });
    }
  });
});
