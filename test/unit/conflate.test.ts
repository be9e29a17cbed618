import { describe, expect, test } from "vitest";
import type { Family } from "../../server/domain/records.ts";
import { conflate } from "../../server/following/conflate.ts";
import { TouchedEntities } from "../../server/following/touched-entities.ts";
import { entryOf, openOf, publishOf, Scene } from "../support/entries.ts";

/** Session s with tasks a and b: changes 1; 2, 3; 4; 5; 6. */
function scene(): Scene {
  const scene = new Scene();
  scene.apply(openOf());
  scene.apply(
    publishOf(1, [
      { kind: "task", task_id: "a", title: "a" },
      { kind: "task", task_id: "b", title: "b" },
    ]),
  );
  scene.apply(publishOf(2, [{ kind: "session", metadata: { n: 1 } }]));
  scene.apply(publishOf(3, [{ kind: "task", task_id: "a", status: "IN_PROGRESS" }]));
  scene.apply(publishOf(4, [{ kind: "session", metadata: { n: 2 } }]));
  return scene;
}

function touchedAfter({ entries }: Scene, seq: number, most = 100): TouchedEntities {
  const touched = new TouchedEntities({ epoch: "e", seq }, most);
  for (const entry of entries) if (entry.from_seq > seq) touched.note(entry);
  return touched;
}

const head = { epoch: "e", seq: 6 };

describe("touched entities", () => {
  const seqs = (touched: TouchedEntities, seq: number) => touched.after(seq, head)?.map((entity) => entity.seq);

  test("[F14] count once each, in the order of their newest changes", () => {
    const touched = touchedAfter(scene(), 1);
    expect(seqs(touched, 1)).toEqual([3, 5, 6]);
    expect(seqs(touched, 3)).toEqual([5, 6]);
    expect(seqs(touched, 6)).toEqual([]);
  });

  test("[F22] are unknown before the first one noted, and before those that were forgotten", () => {
    expect(seqs(touchedAfter(scene(), 3), 2)).toBeUndefined();
    const few = touchedAfter(scene(), 1, 2);
    expect(seqs(few, 2)).toBeUndefined();
    expect(seqs(few, 3)).toEqual([5, 6]);
  });

  test("[F22] are unknown where the log does not go on from what was noted", () => {
    const behind = touchedAfter(scene(), 1);
    expect(behind.after(1, { epoch: "e", seq: 7 })).toBeUndefined();
    expect(behind.after(1, { epoch: "other", seq: 6 })).toBeUndefined();
    const [first] = scene().entries;
    if (first === undefined) throw new Error("no entry");
    const jumped = touchedAfter(scene(), 1);
    jumped.note({ ...entryOf(first.changes), from_seq: 9, to_seq: 9 });
    expect(jumped.after(8, { epoch: "e", seq: 9 })).toBeUndefined();
    const restored = touchedAfter(scene(), 1);
    restored.note({ ...entryOf(first.changes), from_seq: 7, to_seq: 7, epoch: "other" });
    expect(restored.after(6, { epoch: "other", seq: 7 })).toBeUndefined();
  });

  test("[F14] begin the epoch of a project that had none", () => {
    const touched = new TouchedEntities({ epoch: "", seq: 0 }, 100);
    for (const entry of scene().entries) touched.note(entry);
    expect(seqs(touched, 0)).toEqual([3, 5, 6]);
  });
});

describe("a conflated frame", () => {
  const frameOf = (of: Scene, seq: number, familyOf: (id: string) => Family | undefined = () => of.family) =>
    conflate({ projectId: "p", seq, head, touched: touchedAfter(of, seq).after(seq, head) ?? [], familyOf });

  test("[F6] [F14] holds the state at its end of every entity that was touched", () => {
    const of = scene();
    expect(frameOf(of, 3)).toEqual({
      project_id: "p",
      epoch: "e",
      from_seq: 4,
      to_seq: 6,
      conflated: true,
      changes: [
        expect.objectContaining({ seq: 5, kind: "task", id: "a", version: 2, state: of.family.task("a")?.entity }),
        expect.objectContaining({ seq: 6, kind: "session", id: "s", version: 3, state: of.family.session?.entity }),
      ],
    });
  });

  test("[F3] says of each entity what its newest change said", () => {
    const of = scene();
    const change = of.entries.at(-1)?.changes[0];
    const frame = frameOf(of, 5);
    expect("changes" in frame && frame.changes[0]).toMatchObject({
      type: change?.type,
      actor: change?.actor,
      at: of.entries.at(-1)?.at,
      version: change?.version,
    });
  });

  test("names the sessions whose state has to be read first", () => {
    expect(frameOf(scene(), 1, () => undefined)).toEqual(new Set(["s"]));
  });
});
