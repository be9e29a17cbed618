import type { Random } from "../../../test/support/random.ts";
import { IDS, KEYS, metadata, NUMBERS, STATUSES, STRINGS, TASK_STATUSES, value } from "./odd-values.ts";

/** Publishes most, closes seldom: a session that has ended takes nothing any more. */
export const AGENT_EVENTS = [
  ...["session:open", "session:open", "changes:publish", "changes:publish", "changes:publish", "changes:publish"],
  ...["heartbeat", "session:close"],
];
export const VIEWER_EVENTS = ["project:join", "project:leave", "project:snapshot"] as const;

/** Projects that the fuzz writes to, so that what it made of them can be judged. */
export const PROJECTS = ["p", "q"];

/** What one connection keeps to. */
export interface Speaker {
  /** Of its sessions: few, or it would never meet one again; not always the same, since sessions end for good. */
  readonly names: readonly string[];
  lastOp: number;
}

const LIVES = 60;

export function newSpeaker(random: Random): Speaker {
  const life = random.integer(1, LIVES);
  return { names: [`a${life}`, `b${life}`, "shared"], lastOp: 0 };
}

/** A message of an event: mostly good and in order, so that it gets somewhere. */
export function message(random: Random, event: string, speaker: Speaker): unknown {
  const good = random.chance(0.9);
  const id = () => (good ? random.pick(speaker.names) : random.pick(IDS));
  const session_id = id();
  const incarnation = random.chance(0.7) ? 1 : random.integer(1, good ? 4 : 40);
  if (random.chance(0.8)) speaker.lastOp += 1;
  const op = random.chance(0.9) ? speaker.lastOp : random.integer(1, 200);
  const maybe = (make: () => object, probability = 0.5) => (random.chance(probability) ? make() : {});
  switch (event) {
    case "session:open":
      return spoilt(random, good, {
        session_id,
        project_id: random.pick(PROJECTS),
        machine_id: id(),
        ...maybe(() => ({ status: random.pick(STATUSES) }), 0.2),
        ...maybe(() => ({ metadata: metadata(random) })),
        ...maybe(() => ({ takeover: true }), 0.3),
        ...maybe(() => ({ incarnation, token: random.pick(STRINGS) }), 0.1),
        ...maybe(() => ({ parent_session_id: id(), resumed_from: id() }), 0.1),
      });
    case "changes:publish": {
      const changes = Array.from({ length: random.chance(0.05) ? random.integer(90, 110) : random.integer(1, 5) });
      const edits = changes.map((_, index) =>
        index === 0 && random.chance(0.6) ? sessionEdit(random) : taskEdit(random, index),
      );
      return spoilt(random, good, { session_id, incarnation, op, changes: edits });
    }
    case "session:close":
      return spoilt(random, good || random.chance(0.5), {
        ...{ session_id, incarnation, op, status: random.pick(STATUSES) },
        ...maybe(() => ({ metadata: metadata(random) }), 0.3),
      });
    case "heartbeat":
      return spoilt(random, good, {
        sessions: Array.from({ length: random.integer(0, 3) }, () => ({
          session_id: id(),
          incarnation,
          ...maybe(() => ({ progress: random.pick([0, 0.5, 1, 1.1]), activity: random.pick(STRINGS) })),
          ...maybe(() => ({ metrics: { [random.pick(KEYS)]: random.pick(NUMBERS) } })),
        })),
      });
    case "project:join":
      return spoilt(random, good, {
        project_id: random.pick([...PROJECTS, "r", id()]),
        ...maybe(
          () => ({ since: { epoch: random.pick(["", "0123456789abcdef", "x"]), seq: random.integer(0, 99) } }),
          0.3,
        ),
        ...maybe(() => ({ heartbeats: true })),
      });
    case "project:snapshot":
      return spoilt(random, good, {
        project_id: random.pick(PROJECTS),
        cursor: random.pick(["0123456789abcdef.4", "x", "0123456789abcdef.999999999"]),
      });
    default:
      return spoilt(random, good, { project_id: random.pick(PROJECTS) });
  }
}

export function sessionEdit(random: Random): object {
  const status = random.pick([undefined, "ACTIVE", "IDLE", "WAITING", "PAUSED", "WAITING"]);
  return {
    kind: "session",
    ...(status === undefined ? {} : { status }),
    ...(random.chance(0.6) ? { metadata: metadata(random) } : {}),
    ...(status === "WAITING" && random.chance(0.7) ? { waiting_for: waitingFor(random) } : {}),
    ...(random.chance(0.1) ? { expected_version: random.integer(0, 20) } : {}),
  };
}

function waitingFor(random: Random): object {
  return {
    kind: random.pick(["input", "permission", "review"]),
    question: random.pick(STRINGS),
    ...(random.chance(0.5) ? { options: [random.pick(STRINGS)] } : {}),
  };
}

function taskEdit(random: Random, index: number): object {
  return {
    kind: "task",
    task_id: random.chance(0.9) ? `t${index}` : random.pick(IDS),
    ...(random.chance(0.8) ? { title: random.pick(STRINGS) } : {}),
    ...(random.chance(0.5) ? { status: random.pick(TASK_STATUSES) } : {}),
    ...(random.chance(0.3) ? { progress: random.pick([0, 0.5, 1, -0]) } : {}),
    ...(random.chance(0.5) ? { metadata: metadata(random) } : {}),
  };
}

/** With one field taken away or replaced, unless it shall be good. */
export function spoilt(random: Random, good: boolean, fields: object): unknown {
  if (good || random.chance(0.3)) return fields;
  const name = random.pick(Object.keys(fields));
  return random.chance(0.2)
    ? Object.fromEntries(Object.entries(fields).filter(([one]) => one !== name))
    : { ...fields, [name]: value(random, 3) };
}
