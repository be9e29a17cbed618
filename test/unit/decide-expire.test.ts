import { expect, test } from "vitest";
import type { ExpireCommand, VerdictCommand } from "../../server/domain/commands.ts";
import { atSecond, openOf, publishOf, Scene } from "../support/entries.ts";

const EXPIRE: ExpireCommand = {
  type: "expire",
  session_id: "s",
  actor: { kind: "operator", id: "o" },
  request_id: "r",
};

const STALE: VerdictCommand = {
  type: "verdict",
  session_id: "s",
  to: "stale",
  condition: { hub_id: "hub.1", incarnation: 1, liveness: "online" },
  holds: () => true,
  actor: { kind: "hub", id: "hub.1" },
};

function opened(): Scene {
  const scene = new Scene();
  scene.apply(openOf());
  return scene;
}

test("[R32] [S5] a session whose agent is gone ends as failed, by the operator", () => {
  const scene = opened();
  scene.apply(STALE);
  const { changes, answer } = scene.apply(EXPIRE, { at: atSecond(7) });
  expect(changes).toMatchObject([{ type: "ended", actor: EXPIRE.actor, request_id: "r" }]);
  expect(answer.session).toMatchObject({ editVersion: 3, entity: { status: "FAILED", ended_at: atSecond(7) } });
});

test("[R32] so does one that no agent has opened", () => {
  const scene = new Scene();
  const { actor } = EXPIRE;
  scene.apply({ type: "create", session_id: "s", project_id: "p", machine_id: "m", actor, request_id: "q" });
  expect(scene.apply(EXPIRE).answer.session.entity).toMatchObject({ status: "FAILED", liveness: "ended" });
});

test("[R32] [E6] an agent that is heard of is not given up", () => {
  expect(opened().refusal(EXPIRE)).toMatchObject({
    code: "INVALID_TRANSITION",
    details: { from: "ACTIVE", to: "FAILED", liveness: "online", allowed: expect.arrayContaining(["CANCELLED"]) },
  });
});

test("[R32] [S4] a session that is final, or not there, is refused", () => {
  const scene = opened();
  scene.apply(publishOf(1, [{ kind: "session", status: "COMPLETED" }]));
  expect(scene.refusal(EXPIRE)).toMatchObject({ code: "INVALID_TRANSITION", details: { allowed: [] } });
  expect(new Scene().refusal(EXPIRE).code).toBe("NOT_FOUND");
});
