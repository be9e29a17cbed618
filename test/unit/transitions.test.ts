import { describe, expect, test } from "vitest";
import type { Decision } from "../../server/domain/commands.ts";
import { type SessionStatus, TaskStatus } from "../../shared/entities.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { openOf, publishOf, Scene } from "../support/entries.ts";

/** What a request for a status comes to. */
type Outcome = "yes" | "same" | "no";

/** The tables of docs/PROTOCOL.md; they compile only when every pair is decided. */
const SESSION: Record<SessionStatus, Record<SessionStatus, Outcome>> = {
  ACTIVE: {
    ACTIVE: "same",
    IDLE: "yes",
    WAITING: "yes",
    PAUSED: "yes",
    COMPLETED: "yes",
    FAILED: "yes",
    CANCELLED: "yes",
  },
  IDLE: {
    ACTIVE: "yes",
    IDLE: "same",
    WAITING: "yes",
    PAUSED: "yes",
    COMPLETED: "yes",
    FAILED: "yes",
    CANCELLED: "yes",
  },
  WAITING: {
    ACTIVE: "yes",
    IDLE: "yes",
    WAITING: "same",
    PAUSED: "yes",
    COMPLETED: "yes",
    FAILED: "yes",
    CANCELLED: "yes",
  },
  PAUSED: {
    ACTIVE: "yes",
    IDLE: "yes",
    WAITING: "yes",
    PAUSED: "same",
    COMPLETED: "yes",
    FAILED: "yes",
    CANCELLED: "yes",
  },
  COMPLETED: { ACTIVE: "no", IDLE: "no", WAITING: "no", PAUSED: "no", COMPLETED: "no", FAILED: "no", CANCELLED: "no" },
  FAILED: { ACTIVE: "no", IDLE: "no", WAITING: "no", PAUSED: "no", COMPLETED: "no", FAILED: "no", CANCELLED: "no" },
  CANCELLED: { ACTIVE: "no", IDLE: "no", WAITING: "no", PAUSED: "no", COMPLETED: "no", FAILED: "no", CANCELLED: "no" },
};

const TASK: Record<TaskStatus, Record<TaskStatus, Outcome>> = {
  PENDING: { PENDING: "same", IN_PROGRESS: "yes", BLOCKED: "no", COMPLETED: "no", FAILED: "no", CANCELLED: "yes" },
  IN_PROGRESS: {
    PENDING: "no",
    IN_PROGRESS: "same",
    BLOCKED: "yes",
    COMPLETED: "yes",
    FAILED: "yes",
    CANCELLED: "yes",
  },
  BLOCKED: { PENDING: "no", IN_PROGRESS: "yes", BLOCKED: "same", COMPLETED: "no", FAILED: "yes", CANCELLED: "yes" },
  COMPLETED: { PENDING: "no", IN_PROGRESS: "no", BLOCKED: "no", COMPLETED: "same", FAILED: "no", CANCELLED: "no" },
  FAILED: { PENDING: "yes", IN_PROGRESS: "no", BLOCKED: "no", COMPLETED: "no", FAILED: "same", CANCELLED: "no" },
  CANCELLED: { PENDING: "no", IN_PROGRESS: "no", BLOCKED: "no", COMPLETED: "no", FAILED: "no", CANCELLED: "same" },
};

function pairs<S extends string>(table: Record<S, Record<S, Outcome>>): { from: S; to: S; expected: Outcome }[] {
  const rows = Object.entries(table) as [S, Record<S, Outcome>][];
  return rows.flatMap(([from, row]) =>
    (Object.entries(row) as [S, Outcome][]).map(([to, expected]) => ({ from, to, expected })),
  );
}

function allowedFrom<S extends string>(table: Record<S, Record<S, Outcome>>, from: S): string[] {
  return pairs(table).flatMap((pair) => (pair.from === from && pair.expected === "yes" ? [pair.to] : []));
}

function check(decision: Decision, expected: Outcome, from: string, to: string, allowed: readonly string[]): void {
  if (expected === "no") {
    expect(decision).toMatchObject({ kind: "refused", refusal: { code: "INVALID_TRANSITION" } });
    if (decision.kind === "refused") expect(decision.refusal.details).toEqual({ from, to, allowed });
    return;
  }
  if (decision.kind === "refused") throw new Error(decision.refusal.message);
  expect(decision.changes).toHaveLength(expected === "yes" ? 1 : 0);
}

describe("session statuses", () => {
  test.each(pairs(SESSION))("[S1] [S3] [S4] $from to $to: $expected", ({ from, to, expected }) => {
    const scene = new Scene();
    scene.apply(openOf());
    if (from !== "ACTIVE") scene.apply(publishOf(1, [{ kind: "session", status: from }]));
    const decision = scene.decide(publishOf(2, [{ kind: "session", status: to }]));
    check(decision, expected, from, to, allowedFrom(SESSION, from));
    if (decision.kind === "accepted" && ["COMPLETED", "FAILED", "CANCELLED"].includes(to)) {
      expect(decision.changes[0]?.type).toBe("ended");
      expect(decision.session?.entity).toMatchObject({
        liveness: "ended",
        ended_at: decision.session?.entity.updated_at,
      });
    }
  });
});

describe("task statuses", () => {
  const task = (status: TaskStatus): Edit => ({ kind: "task", task_id: "t", title: "t", status });

  test.each(pairs(TASK))("[S2] [S3] $from to $to: $expected", ({ from, to, expected }) => {
    const scene = new Scene();
    scene.apply(openOf());
    scene.apply(publishOf(1, [task(from)]));
    const decision = scene.decide(publishOf(2, [task(to)]));
    check(decision, expected, from, to, allowedFrom(TASK, from));
    if (from === "FAILED" && to === "PENDING" && decision.kind === "accepted") {
      // [S6]
      expect(decision.changes[0]?.type).toBe("reopened");
      expect(decision.tasks[0]?.entity.ended_at).toBeUndefined();
    }
  });

  test.each(TaskStatus.options)("[P6] [S5] a task may begin as %s", (status) => {
    const scene = new Scene();
    scene.apply(openOf());
    const { tasks, changes } = scene.apply(publishOf(1, [task(status)]));
    expect(changes[0]).toMatchObject({ type: "created", version: 1, state: { status } });
    expect(tasks[0]?.entity.ended_at !== undefined).toBe(["COMPLETED", "FAILED", "CANCELLED"].includes(status));
  });
});
