import { describe, expect, test } from "vitest";
import type { Session } from "../../shared/entities.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import type { Edit, SessionEdit } from "../../shared/messages/changes-publish.ts";
import { AT, openOf, publishOf, Scene } from "../support/entries.ts";
import { nested } from "../support/nested.ts";

const session = (edit: Omit<SessionEdit, "kind"> = {}): Edit => ({ kind: "session", ...edit });
const task = (task_id: string, edit: Partial<Extract<Edit, { kind: "task" }>> = {}): Edit => ({
  kind: "task",
  task_id,
  title: task_id,
  ...edit,
});

function opened(): Scene {
  const scene = new Scene();
  scene.apply(openOf());
  return scene;
}

describe("the order of checks", () => {
  /** Wrong in every way that is checked later than the way that is named. */
  const worst = [
    session({ status: "WAITING", metadata: { recovery_attempts: 7 } }),
    task("t", { expected_version: 9 }),
  ];

  test("[P20] [P25] a session that is not there is NOT_FOUND", () => {
    expect(new Scene().refusal(publishOf(1, worst)).code).toBe("NOT_FOUND");
  });

  test("[P12] [P21] [P25] the last op again comes before everything else, whatever it holds now", () => {
    const scene = opened();
    scene.apply(publishOf(4, [session({ status: "COMPLETED" })]));
    const { answer, changes } = scene.apply(publishOf(4, worst, { owns: false }));
    expect(changes).toEqual([]);
    expect(answer).toMatchObject({ duplicate: true, seq: 2 });
    expect(answer.results).toEqual([{ kind: "session", id: "s", version: 2, seq: 2, changed: false }]);
  });

  test("[P19] [P25] a lower incarnation is FENCED, also where the session is final or not open here", () => {
    const scene = opened();
    scene.apply(openOf());
    expect(scene.refusal(publishOf(1, worst, { owns: false }))).toMatchObject({
      code: "FENCED",
      details: { incarnation: 2 },
    });
    scene.apply(publishOf(1, [session({ status: "FAILED" })], { incarnation: 2 }));
    expect(scene.refusal(publishOf(1, worst)).code).toBe("FENCED");
  });

  test("[S4] a final session says so, also where it is no longer open", () => {
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "CANCELLED" })]));
    expect(scene.refusal(publishOf(2, worst, { owns: false }))).toMatchObject({
      code: "INVALID_TRANSITION",
      details: { from: "CANCELLED", allowed: [] },
    });
  });

  test("[P20] not open here, or a higher incarnation, is NOT_FOUND", () => {
    expect(opened().refusal(publishOf(1, worst, { owns: false })).code).toBe("NOT_FOUND");
    expect(opened().refusal(publishOf(1, worst, { incarnation: 2 })).code).toBe("NOT_FOUND");
  });

  test("[P11] [P25] a smaller op is refused before its content is looked at", () => {
    const scene = opened();
    scene.apply(publishOf(4, [session({ status: "IDLE" })]));
    expect(scene.refusal(publishOf(3, worst))).toMatchObject({
      code: "VALIDATION",
      details: { errors: [{ field: "op" }] },
    });
  });

  test("[P25] expected_version of every element comes before any transition", () => {
    expect(opened().refusal(publishOf(1, worst)).code).toBe("VERSION_CONFLICT");
  });

  test("[P26] [E5] the refused element is named", () => {
    const named = (edits: readonly Edit[]) => opened().refusal(publishOf(1, edits)).details;
    expect(named([session(), { kind: "task", task_id: "t" }])).toMatchObject({
      errors: [{ field: "changes[1].title" }],
    });
    expect(named([session({ metadata: { recovery_attempts: 1 } })])).toMatchObject({
      errors: [{ field: "changes[0].metadata.recovery_attempts" }],
    });
    const close = publishOf(1, [session({ metadata: { recovery_attempts: 1 } })], { envelope: "none" });
    expect(opened().refusal(close).details).toMatchObject({ errors: [{ field: "metadata.recovery_attempts" }] });
  });
});

describe("what becomes of a publish", () => {
  test("[P5] [P9] [P10] [P23] all in order of the request, the ending one first or last", () => {
    const scene = opened();
    const { changes, answer } = scene.apply(publishOf(1, [session({ status: "COMPLETED" }), task("a"), task("b")]));
    expect(changes.map(({ seq, kind, id, type, op }) => [seq, kind, id, type, op])).toEqual([
      [2, "session", "s", "ended", 1],
      [3, "task", "a", "created", 1],
      [4, "task", "b", "created", 1],
    ]);
    expect(answer.seq).toBe(4);
    expect(answer.results.map(({ id, seq, changed }) => [id, seq, changed])).toEqual([
      ["s", 2, true],
      ["a", 3, true],
      ["b", 4, true],
    ]);
    expect(answer.session).toMatchObject({ appliedSeq: 4, lastOp: 1, lastOpSeq: 4 });
  });

  test("[P5] one bad element refuses all", () => {
    const scene = opened();
    scene.refusal(publishOf(1, [session({ status: "IDLE" }), task("a"), { kind: "task", task_id: "b" }]));
    expect(scene.family.session?.entity.status).toBe("ACTIVE");
    expect(scene.family.taskCount).toBe(0);
  });

  test("[P9] [P14] [S3] [D7] elements that change nothing are not logged; if none does, the op is free", () => {
    const scene = opened();
    scene.apply(publishOf(1, [task("a")]));
    const mixed = scene.apply(publishOf(2, [task("a"), session({ status: "ACTIVE", metadata: { x: 1 } })]));
    expect(mixed.changes).toMatchObject([{ seq: 3, kind: "session", version: 2 }]);
    expect(mixed.answer.results).toEqual([
      { kind: "task", id: "a", version: 1, seq: 2, changed: false },
      { kind: "session", id: "s", version: 2, seq: 3, changed: true },
    ]);
    const empty = scene.apply(publishOf(3, [task("a"), session({ metadata: { x: 1, y: null } })]));
    expect(empty.changes).toEqual([]);
    expect(empty.answer).toMatchObject({ seq: 3, duplicate: false, session: { lastOp: 2 } });
    expect(scene.apply(publishOf(3, [session({ status: "IDLE" })])).changes).toHaveLength(1);
  });

  test("[P13] a duplicate lists what is there of the request, with the numbers of now", () => {
    const scene = opened();
    scene.apply(publishOf(1, [task("a"), task("b")]));
    scene.apply({
      type: "edit",
      session_id: "s",
      edits: [session({ metadata: { x: 1 } })],
      actor: ACTOR,
      request_id: "r",
    });
    const { answer } = scene.apply(publishOf(1, [task("b"), task("gone"), session()]));
    expect(answer).toMatchObject({ duplicate: true, seq: 3 });
    expect(answer.results.map(({ id, version, seq }) => [id, version, seq])).toEqual([
      ["b", 1, 3],
      ["s", 2, 4],
    ]);
  });

  test("every so many versions the whole state stands beside the patch", () => {
    const scene = opened();
    const states: number[] = [];
    for (let op = 1; op <= 130; op++) {
      const [change] = scene.apply(publishOf(op, [session({ metadata: { op } })])).changes;
      expect(change?.patch).toEqual({ metadata: { op } });
      if (change?.state !== undefined) states.push(change.version);
    }
    expect(states).toEqual([64, 128]);
    expect(scene.entries.at(-3)?.changes[0]).toMatchObject({ version: 129 });
    expect(scene.entries[63]?.changes[0]?.state).toMatchObject({ version: 64, metadata: { op: 63 } });
  });

  test("[P24] [L3] tasks of a session up to the limit", () => {
    const limits = { ...DEFAULT_LIMITS, tasks_per_session: 2 };
    const scene = opened();
    scene.apply(publishOf(1, [task("a")]), { limits });
    expect(scene.refusal(publishOf(2, [task("b"), task("c")]), { limits }).code).toBe("LIMIT_EXCEEDED");
    scene.apply(publishOf(2, [task("b"), task("a", { title: "A" })]), { limits });
  });
});

const ACTOR = { kind: "operator", id: "o" } as const;

describe("expected_version", () => {
  test("[P16] [E7] matches from the last edit to the current version", () => {
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "IDLE" })]));
    // Two returns on other hub processes: changes by the hub.
    scene.apply({ ...openOf(), proven_incarnation: 1, showed_token: true }, { hubId: "hub.2" });
    scene.apply({ ...openOf(), proven_incarnation: 1, showed_token: true }, { hubId: "hub.3" });
    const at = (expected_version: number) =>
      scene.decide(publishOf(2, [session({ expected_version, status: "ACTIVE" })]));
    expect([1, 2, 3, 4, 5].map((version) => at(version).kind)).toEqual([
      "refused",
      "accepted",
      "accepted",
      "accepted",
      "refused",
    ]);
    const conflict = at(1);
    expect(conflict).toMatchObject({
      refusal: { code: "VERSION_CONFLICT", details: { expected: 1, current: { version: 4, session_id: "s" } } },
    });
  });

  test("[P17] [P18] 0 means not there; of what is not there nothing else matches", () => {
    const scene = opened();
    scene.apply(publishOf(1, [task("a", { expected_version: 0 })]));
    expect(scene.refusal(publishOf(2, [task("a", { expected_version: 0 })])).code).toBe("VERSION_CONFLICT");
    expect(scene.refusal(publishOf(2, [session({ expected_version: 0 })])).code).toBe("VERSION_CONFLICT");
    const missing = scene.refusal(publishOf(2, [task("b", { expected_version: 1 })]));
    expect(missing).toMatchObject({ code: "VERSION_CONFLICT", details: { expected: 1 } });
    expect(missing.details).not.toHaveProperty("current");
  });
});

describe("waiting_for", () => {
  const ask = { kind: "permission", question: "Deploy?", options: ["yes", "no"] } as const;
  const asked = (over: object = {}): SessionEdit["waiting_for"] => ({ ...ask, options: [...ask.options], ...over });
  const waiting = (scene: Scene): Session["waiting_for"] => scene.family.session?.entity.waiting_for;
  const at = (seconds: number) => ({ at: new Date(Date.parse(AT) + seconds * 1_000).toISOString() });

  test("[S7] WAITING alone waits for input", () => {
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "WAITING" })]), at(5));
    expect(waiting(scene)).toEqual({ kind: "input", question: "", since: at(5).at });
  });

  test("[S7] a deadline is kept as it was sent", () => {
    const scene = opened();
    const deadline = "2026-11-22T09:00:00+02:00";
    scene.apply(publishOf(1, [session({ status: "WAITING", waiting_for: asked({ deadline }) })]));
    expect(waiting(scene)?.deadline).toBe(deadline);
  });

  test("[S8] the same question again is no change, another one replaces the whole", () => {
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "WAITING", waiting_for: asked() })]), at(1));
    for (const edit of [session({ waiting_for: asked() }), session({ status: "WAITING", waiting_for: asked() })]) {
      expect(scene.apply(publishOf(2, [edit]), at(2)).changes).toEqual([]);
    }
    expect(scene.apply(publishOf(2, [session({ status: "WAITING" })]), at(3)).changes).toEqual([]);
    scene.apply(publishOf(2, [session({ waiting_for: { kind: "input", question: "Which?" } })]), at(4));
    expect(waiting(scene)).toEqual({ kind: "input", question: "Which?", since: at(4).at });
    expect(scene.entries.at(-1)?.changes[0]?.patch).toMatchObject({ waiting_for: { options: null } });
  });

  test("[S9] leaving WAITING removes it", () => {
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "WAITING", waiting_for: asked() })]));
    const { changes } = scene.apply(publishOf(2, [session({ status: "ACTIVE" })]));
    expect(waiting(scene)).toBeUndefined();
    expect(changes[0]?.patch).toEqual({ status: "ACTIVE", waiting_for: null });
  });

  test("[S10] goes with WAITING only", () => {
    expect(opened().refusal(publishOf(1, [session({ waiting_for: asked() })])).code).toBe("VALIDATION");
    const scene = opened();
    scene.apply(publishOf(1, [session({ status: "WAITING" })]));
    expect(scene.refusal(publishOf(2, [session({ status: "IDLE", waiting_for: asked() })]))).toMatchObject({
      code: "VALIDATION",
      details: { errors: [{ field: "changes[0].waiting_for" }] },
    });
  });
});

describe("metadata", () => {
  const patched = (metadata: SessionEdit["metadata"]) =>
    opened().decide(publishOf(1, [session(metadata && { metadata })]));
  const codeOf = (metadata: SessionEdit["metadata"]) => {
    const decision = patched(metadata);
    return decision.kind === "refused" ? decision.refusal.code : "ok";
  };

  test("[M6] [L3] its size is counted exactly, in bytes of UTF-8 JSON after the merge", () => {
    const limit = DEFAULT_LIMITS.metadata_bytes;
    const fits = limit - '{"a":""}'.length;
    expect(codeOf({ a: "x".repeat(fits) })).toBe("ok");
    expect(codeOf({ a: "x".repeat(fits + 1) })).toBe("PAYLOAD_TOO_LARGE");
    expect(codeOf({ a: "é".repeat(fits / 2) })).toBe("ok");
    expect(codeOf({ a: "é".repeat(fits / 2 + 1) })).toBe("PAYLOAD_TOO_LARGE");
    // In JSON each of these takes six bytes.
    expect(codeOf({ a: "\u0001".repeat(Math.floor(fits / 6)) })).toBe("ok");
    expect(codeOf({ a: "\u0001".repeat(Math.floor(fits / 6) + 1) })).toBe("PAYLOAD_TOO_LARGE");
  });

  test("[M7] its depth and keys are limited, also after the merge", () => {
    expect(codeOf(nested(8) as never)).toBe("ok");
    expect(codeOf(nested(9) as never)).toBe("VALIDATION");
    const keys = (prefix: string, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, 1]));
    const scene = opened();
    scene.apply(publishOf(1, [session({ metadata: keys("a", 64) })]));
    expect(scene.refusal(publishOf(2, [session({ metadata: { b: 1 } })])).code).toBe("VALIDATION");
    scene.apply(publishOf(2, [session({ metadata: { a0: null, b: 1 } })]));
  });

  test("[M8] tasks may have a recovery_attempts of their own", () => {
    opened().apply(publishOf(1, [task("t", { metadata: { recovery_attempts: 3 } })]));
  });
});

describe("tasks", () => {
  test("[P6] a new one needs a title", () => {
    expect(opened().refusal(publishOf(1, [{ kind: "task", task_id: "t" }])).code).toBe("VALIDATION");
  });

  test("[P7] [S12] a final task takes title, progress and metadata, and keeps its end", () => {
    const scene = opened();
    scene.apply(publishOf(1, [task("t", { status: "IN_PROGRESS", progress: 0.5 })]));
    scene.apply(publishOf(2, [task("t", { status: "COMPLETED" })]));
    const ended = scene.family.task("t")?.entity;
    expect(ended).toMatchObject({ progress: 0.5, ended_at: ended?.updated_at });
    scene.apply(publishOf(3, [task("t", { title: "T", progress: 1, metadata: { a: 1 } })]));
    expect(scene.family.task("t")?.entity).toMatchObject({
      title: "T",
      progress: 1,
      metadata: { a: 1 },
      ended_at: ended?.ended_at,
      version: 3,
    });
  });
});
