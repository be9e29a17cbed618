import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Accepted, Command } from "../../server/domain/commands.ts";
import { foldChange, foldEntry } from "../../server/domain/fold.ts";
import { Family, type LogChange } from "../../server/domain/records.ts";
import { Staging } from "../../server/domain/staging.ts";
import { frozenCopy } from "../../server/memory/frozen-copy.ts";
import { SessionStatus, TaskStatus } from "../../shared/entities.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { atSecond, contextAfter, openOf, publishOf, Scene } from "../support/entries.ts";

const value = fc.constantFrom(null, 1, 2, "x", [null, 1], { b: 1, c: null }, { b: 2 }, {});
const metadata = fc.dictionary(fc.constantFrom("a", "b", "toString"), value, { maxKeys: 2, noNullPrototype: true });

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
/** Without the fields that have no value. */
const record = <T extends object>(of: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(of).map((given) => Object.fromEntries(Object.entries(given).filter(([, field]) => field !== undefined)));

const sessionEdit = record({
  kind: fc.constant("session"),
  status: optional(
    fc.oneof({ arbitrary: fc.constantFrom(...SessionStatus.options.slice(0, 4)), weight: 20 }, fc.constant("FAILED")),
  ),
  metadata: optional(metadata),
});
const taskEdit = (id: string) =>
  record({
    kind: fc.constant("task"),
    task_id: fc.constant(id),
    title: optional(fc.constantFrom("one", "two")),
    status: optional(fc.constantFrom(...TaskStatus.options)),
    progress: optional(fc.constantFrom(0, 0.5, 1)),
    metadata: optional(metadata),
  });
const edits = fc
  .tuple(optional(sessionEdit), optional(taskEdit("t")), optional(taskEdit("u")))
  .map((given) => given.filter((edit) => edit !== undefined) as unknown as Edit[])
  .filter((given) => given.length > 0);

type Step = (scene: Scene) => { readonly command: Command; readonly hubId: string };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: edits.map(
      (given): Step =>
        (scene) => ({ command: nextPublish(scene, given), hubId: "h1" }),
    ),
    weight: 6,
  },
  edits.map(
    (given): Step =>
      (scene) => ({
        command: {
          type: "edit",
          session_id: "s",
          edits: given,
          actor: { kind: "operator", id: "o" },
          request_id: `r${scene.seq}`,
        },
        hubId: "h1",
      }),
  ),
  fc.constantFrom("h1", "h2").map(
    (hubId): Step =>
      () => ({ command: openOf(), hubId }),
  ),
  fc.constantFrom("h1", "h2").map(
    (hubId): Step =>
      (scene) => ({
        command: { ...openOf(), proven_incarnation: incarnationOf(scene), showed_token: true, agent_id: undefined },
        hubId,
      }),
  ),
  fc.constant<Step>(() => ({
    command: {
      type: "create",
      session_id: "s",
      project_id: "p",
      machine_id: "m",
      actor: { kind: "operator", id: "o" },
      request_id: "r",
    },
    hubId: "h1",
  })),
);

function incarnationOf(scene: Scene): number {
  return scene.family.session?.entity.incarnation ?? 0;
}

function nextPublish(scene: Scene, given: readonly Edit[]): Command {
  const op = (scene.family.session?.lastOp ?? 0) + 1;
  return publishOf(op, given, { incarnation: Math.max(1, incarnationOf(scene)) });
}

/** Runs the steps that are accepted, and says what is in the log afterwards, as it comes back from a database. */
function play(steps: readonly Step[]): Scene {
  const scene = new Scene();
  for (const next of steps) {
    const { command, hubId } = next(scene);
    const over = { hubId, stateEveryVersions: 3 };
    if (scene.decide(command, over).kind === "accepted") scene.apply(command, over);
  }
  return scene;
}

describe("what is folded from the log equals what was decided", () => {
  test("field for field, hidden fields too", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const scene = play(steps);
        const folded = new Family();
        for (const entry of scene.entries) foldEntry(folded, "s", frozenCopy(entry));
        expect(folded.session).toEqual(scene.family.session);
        expect(folded.tasks).toEqual(scene.family.tasks);
      }),
      { numRuns: 400 },
    );
  });

  test("from any documents on, each as of another moment, and however often", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 20 }),
        fc.array(fc.nat(), { minLength: 3 }),
        (steps, moments) => {
          const scene = play(steps);
          const asOf = (moment: number | undefined) => {
            const family = new Family();
            const upTo = scene.entries.slice(0, (moment ?? 0) % (scene.entries.length + 1));
            for (const entry of upTo) foldEntry(family, "s", entry);
            return family;
          };
          // As a reader finds them that is overtaken by the projection between two reads.
          const mixed = new Family();
          mixed.session = asOf(moments[0]).session;
          for (const [index, taskId] of ["t", "u"].entries()) {
            const task = asOf(moments[index + 1]).task(taskId);
            if (task !== undefined) mixed.tasks.set(taskId, task);
          }
          for (const entry of [...scene.entries, ...scene.entries]) foldEntry(mixed, "s", entry);
          expect(mixed.session).toEqual(scene.family.session);
          expect(mixed.tasks).toEqual(scene.family.tasks);
        },
      ),
    );
  });
});

describe("the hub's own changes", () => {
  /** A verdict, as the hub logs it. */
  function verdict(scene: Scene, liveness: "stale" | "lost", over: object = {}): Accepted {
    const session = scene.family.session;
    if (session === undefined) throw new Error("no session");
    const staging = new Staging(scene.family, { actor: { kind: "hub", id: "h1" } }, contextAfter(scene.seq));
    return staging.accept([staging.stageSession({ ...session.entity, liveness, ...over })]);
  }

  test("[P16] leave edit_version and ops where they are", () => {
    const scene = new Scene();
    scene.apply(openOf());
    scene.apply(publishOf(4, [{ kind: "session", status: "IDLE" }]));
    const { session, changes } = verdict(scene, "stale");
    expect(session).toMatchObject({ editVersion: 2, lastOp: 4, lastOpSeq: 2, appliedSeq: 3 });
    foldChange(scene.family, changes[0] as LogChange, atSecond(scene.seq));
    expect(scene.family.session).toEqual(session);
  });

  test("[F8] are of type liveness when nothing but liveness and what belongs to it changes", () => {
    const scene = new Scene();
    scene.apply(openOf());
    const typeOf = (over: object) => verdict(scene, "lost", over).changes[0]?.type;
    expect(typeOf({})).toBe("liveness");
    expect(typeOf({ lost_at: atSecond(9), metadata: { recovery_attempts: 1 } })).toBe("liveness");
    expect(typeOf({ hub_id: "h9" })).toBe("updated");
    expect(typeOf({ metadata: { recovery_attempts: 1, a: 1 } })).toBe("updated");
    expect(typeOf({ status: "FAILED", ended_at: atSecond(9), liveness: "ended" })).toBe("ended");
  });
});
