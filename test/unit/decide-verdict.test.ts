import { describe, expect, test } from "vitest";
import type { VerdictCommand } from "../../server/domain/commands.ts";
import type { Session } from "../../shared/entities.ts";
import { atSecond, openOf, publishOf, Scene } from "../support/entries.ts";

const HUB = { kind: "hub", id: "hub.1" } as const;

interface Over {
  readonly condition?: Partial<VerdictCommand["condition"]>;
  readonly holds?: () => boolean;
}

function verdictOf(to: VerdictCommand["to"], from: Session["liveness"], over: Over = {}): VerdictCommand {
  return {
    type: "verdict",
    session_id: "s",
    to,
    condition: { hub_id: "hub.1", incarnation: 1, liveness: from, ...over.condition },
    holds: over.holds ?? (() => true),
    actor: HUB,
  };
}

function opened(): Scene {
  const scene = new Scene();
  scene.apply(openOf());
  return scene;
}

function lost(): Scene {
  const scene = opened();
  scene.apply(verdictOf("stale", "online"));
  scene.apply(verdictOf("lost", "stale"));
  return scene;
}

describe("a verdict whose condition holds", () => {
  test("[B10] [B11] [F8] [F9] is one change of type liveness by the hub", () => {
    const scene = opened();
    const stale = scene.apply(verdictOf("stale", "online"));
    expect(stale.changes).toEqual([
      expect.objectContaining({ type: "liveness", version: 2, actor: HUB, patch: { liveness: "stale" } }),
    ]);
    const gone = scene.apply(verdictOf("lost", "stale"), { at: atSecond(40) });
    expect(gone.changes).toMatchObject([{ type: "liveness", patch: { liveness: "lost", lost_at: atSecond(40) } }]);
    expect(gone.answer.session.entity).toMatchObject({ liveness: "lost", status: "ACTIVE", lost_at: atSecond(40) });
  });

  test("[B10] back from stale nothing is counted", () => {
    const scene = opened();
    scene.apply(verdictOf("stale", "online"));
    const back = scene.apply(verdictOf("online", "stale"));
    expect(back.changes).toMatchObject([{ type: "liveness", patch: { liveness: "online" } }]);
    expect(back.answer.session.entity.metadata).toEqual({});
  });

  test("[B11] back from lost adds one recovery, and lost_at goes", () => {
    const scene = lost();
    for (const attempts of [1, 2]) {
      const back = scene.apply(verdictOf("online", "lost"));
      expect(back.changes).toMatchObject([
        {
          type: "liveness",
          patch: { liveness: "online", lost_at: null, metadata: { recovery_attempts: attempts } },
        },
      ]);
      expect(back.answer.session.entity).not.toHaveProperty("lost_at");
      scene.apply(verdictOf("stale", "online"));
      scene.apply(verdictOf("lost", "stale"));
    }
  });

  test("[B12] [S5] [S9] expired ends the session as failed", () => {
    const scene = opened();
    scene.apply(publishOf(1, [{ kind: "session", status: "WAITING", metadata: { a: 1 } }]));
    scene.apply(verdictOf("lost", "online"));
    const { changes, answer } = scene.apply(verdictOf("expired", "lost"), { at: atSecond(99) });
    expect(changes).toMatchObject([{ type: "ended", actor: HUB, patch: { status: "FAILED", waiting_for: null } }]);
    expect(answer.session.entity).toMatchObject({ status: "FAILED", liveness: "ended", ended_at: atSecond(99) });
    expect(answer.session.entity).not.toHaveProperty("waiting_for");
  });

  test("[P16] spoils no expected_version and no op", () => {
    const scene = opened();
    scene.apply(publishOf(1, [{ kind: "session", status: "IDLE" }]));
    scene.apply(verdictOf("stale", "online"));
    const edit = publishOf(2, [{ kind: "session", status: "ACTIVE", expected_version: 2 }]);
    expect(scene.family.session).toMatchObject({ lastOp: 1, editVersion: 2, entity: { version: 3 } });
    expect(scene.apply(edit).answer.session.entity).toMatchObject({ version: 4, liveness: "stale" });
  });
});

describe("[B10] a verdict is dropped, without a change and without a refusal, when", () => {
  const dropped = (scene: Scene, command: VerdictCommand) => {
    const before = scene.family.session;
    const { changes, answer } = scene.apply(command);
    expect(changes).toEqual([]);
    expect(answer.session).toEqual(before);
  };

  test.each<[string, Over]>([
    ["the session is with another hub", { condition: { hub_id: "hub.2" } }],
    ["a newer owner has it", { condition: { incarnation: 2 } }],
    ["its liveness is another by now", { condition: { liveness: "stale" } }],
    ["the one who says it no longer holds it", { holds: () => false }],
  ])("%s", (_name, over) => {
    for (const to of ["stale", "lost", "expired"] as const) dropped(opened(), verdictOf(to, "online", over));
  });

  test("the session is final", () => {
    const scene = opened();
    scene.apply(publishOf(1, [{ kind: "session", status: "COMPLETED" }]));
    dropped(scene, verdictOf("expired", "ended"));
    dropped(scene, verdictOf("online", "ended"));
  });

  test("it was said already: of two that say the same, one counts", () => {
    const scene = opened();
    scene.apply(verdictOf("stale", "online"));
    dropped(scene, verdictOf("stale", "online"));
  });
});

test("[B10] whether a verdict holds is asked at every decision", () => {
  const scene = opened();
  let asked = 0;
  const command = verdictOf("stale", "online", {
    holds: () => {
      asked += 1;
      return false;
    },
  });
  scene.apply(command);
  scene.apply(command);
  expect(asked).toBe(2);
});

test("[O8] [B11] an agent that opens a lost session is back, and counted once", () => {
  const scene = lost();
  const { answer, changes } = scene.apply({ ...openOf(), agent_id: "b" });
  expect(answer.session.entity).toMatchObject({
    liveness: "online",
    incarnation: 2,
    metadata: { recovery_attempts: 1 },
  });
  expect(changes).toHaveLength(1);
  const late = verdictOf("online", "lost");
  expect(scene.apply(late).changes).toEqual([]);
});
