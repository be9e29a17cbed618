import { expect, test } from "vitest";
import { type ConnectionEvent, type ConnectionState, nextState } from "../../client/connection-state.ts";
import { StateHubError } from "../../client/errors.ts";

const cause = new StateHubError("UNREACHABLE", "away");

const states = {
  connecting: { name: "connecting", attempt: 2 },
  opening: { name: "opening", attempt: 2 },
  ready: { name: "ready" },
  waiting: { name: "waiting", attempt: 2, cause },
  stopped: { name: "stopped", why: "closed" },
} as const satisfies { [N in ConnectionState["name"]]: ConnectionState & { name: N } };

const events = {
  linked: { type: "linked" },
  opened: { type: "opened" },
  reopen: { type: "reopen" },
  lost: { type: "lost", cause },
  due: { type: "due" },
  stop: { type: "stop", why: "failed", error: cause },
} as const satisfies { [T in ConnectionEvent["type"]]: ConnectionEvent & { type: T } };

const same = "same";
const stopped: ConnectionState = { name: "stopped", why: "failed", error: cause };
const waiting = (attempt: number): ConnectionState => ({ name: "waiting", attempt, cause });

/** Complete: a state or an event without its row or column does not compile. */
const table: { [N in keyof typeof states]: { [T in keyof typeof events]: ConnectionState | typeof same } } = {
  connecting: {
    linked: { name: "opening", attempt: 2 },
    opened: same,
    reopen: same,
    lost: waiting(3),
    due: same,
    stop: stopped,
  },
  opening: { linked: same, opened: { name: "ready" }, reopen: same, lost: waiting(3), due: same, stop: stopped },
  ready: {
    linked: same,
    opened: same,
    reopen: { name: "opening", attempt: 0 },
    lost: waiting(1),
    due: same,
    stop: stopped,
  },
  waiting: {
    linked: same,
    opened: same,
    reopen: same,
    lost: same,
    due: { name: "connecting", attempt: 2 },
    stop: stopped,
  },
  stopped: { linked: same, opened: same, reopen: same, lost: same, due: same, stop: same },
};

const rows = Object.entries(table).flatMap(([state, row]) =>
  Object.entries(row).map(([event, after]) => ({ state, event, after })),
);

test.each(rows)("client connection: $event while $state", ({ state, event, after }) => {
  const before = states[state as keyof typeof states];
  const result = nextState(before, events[event as keyof typeof events]);
  if (after === same) expect(result).toBe(before);
  else expect(result).toEqual(after);
});
