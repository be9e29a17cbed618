import { Agent } from "../../client/agent.ts";
import type { AgentOptions, SessionSpec } from "../../client/agent-types.ts";
import type { StateHubError } from "../../client/errors.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { sampleSession } from "./entries.ts";
import { FakeClock } from "./fake-clock.ts";
import { type FakeLink, FakeTransport } from "./fake-link.ts";

/** The session as the hub answers. */
export const entity = sampleSession();
export const lease = { interval_ms: 5_000, ttl_ms: 15_000 };

export function opened(extra: object = {}): object {
  const first = {
    ok: true,
    session: entity,
    created: true,
    resumed: false,
    incarnation: 1,
    token: "secret",
    last_op: 0,
  };
  return { ...first, epoch: "e", seq: 1, lease, ...extra };
}

export function published(link: FakeLink, extra: object = {}): object {
  const changes: Edit[] = link.last("changes:publish").payload.changes;
  const results = changes.map((edit) => ({
    kind: edit.kind,
    id: edit.kind === "task" ? edit.task_id : "s",
    version: 2,
    seq: 2,
    changed: true,
  }));
  return { ok: true, epoch: "e", seq: 2, results, ...extra };
}

interface Extra extends Partial<AgentOptions> {
  readonly session?: SessionSpec;
}

export function start({ session: spec, ...extra }: Extra = {}) {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const agent = new Agent({ url: "http://hub", key: "k", agentId: "a", ...extra }, transport.connect, clock);
  const session = agent.open(spec ?? { sessionId: "s", projectId: "p", machineId: "m" });
  const events: [string, unknown][] = [];
  for (const name of ["opened", "fenced", "changed", "error"] as const) {
    session.on(name, (payload) => events.push([name, payload]));
  }
  const happened = (name: string) => events.filter(([event]) => event === name).map(([, payload]) => payload);
  return { agent, session, clock, transport, happened };
}

export function startOpen(extra: Extra = {}) {
  const all = start(extra);
  all.transport.link.accept();
  all.transport.link.last("session:open").answer?.(opened());
  return all;
}

/** How a promise has settled by now: its value, its error's code, or `pending`. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = "pending";
  promise.then(
    (value) => {
      result = value;
    },
    (error: StateHubError) => {
      result = error.code;
    },
  );
  await new Promise(setImmediate);
  return result;
}

export const step = (value: number): Edit => ({ kind: "task", task_id: "t", progress: value });

/** The connection breaks and the hub takes the agent back. */
export function comeBack({ clock, transport }: ReturnType<typeof start>, answer: object = {}) {
  clock.advance(5_000);
  transport.link.accept();
  transport.link.last("session:open").answer?.(opened({ created: false, resumed: true, ...answer }));
}
