import { BENCH_KEY } from "./processes.ts";
import { type Ack, RawSocket } from "./raw-socket.ts";

/** What the load generator has to know about the hub it speaks to; everything else is the same for both sides. */
export interface AgentDriver {
  connect(url: string, agentId: string): Promise<RawSocket>;
  open(socket: RawSocket, session: SessionRef): Promise<PublishingSession>;
}

export interface SessionRef {
  readonly sessionId: string;
  readonly projectId: string;
}

export interface PublishingSession {
  /** Publishes one change of the session's metadata and resolves with its ack. */
  publish(metadata: Readonly<Record<string, unknown>>): Promise<Ack>;
}

export type DriverName = "state-hub" | "baseline" | "bare-socket-io";

export const DRIVERS: Readonly<Record<DriverName, AgentDriver>> = {
  "state-hub": { connect: connectAgent, open: openOnStateHub },
  baseline: { connect: connectAgent, open: openByHand },
  "bare-socket-io": { connect: connectAgent, open: openByHand },
};

function connectAgent(url: string, agentId: string): Promise<RawSocket> {
  const auth = { key: BENCH_KEY, protocol: 1, agent_id: agentId, client: "bench/1" };
  return RawSocket.connect({ url, namespace: "/agents", auth });
}

async function openOnStateHub(socket: RawSocket, { sessionId, projectId }: SessionRef): Promise<PublishingSession> {
  const opened = await socket.request("session:open", {
    session_id: sessionId,
    project_id: projectId,
    machine_id: "bench-machine",
  });
  if (!opened.ok) throw new Error(`session:open refused: ${JSON.stringify(opened.error)}`);
  const incarnation = opened.incarnation;
  let op = Number(opened.last_op);
  return {
    publish: (metadata) =>
      socket.request("changes:publish", {
        session_id: sessionId,
        incarnation,
        op: ++op,
        changes: [{ kind: "session", metadata }],
      }),
  };
}

async function openByHand(socket: RawSocket, { sessionId, projectId }: SessionRef): Promise<PublishingSession> {
  const ref = { session_id: sessionId, project_id: projectId };
  const opened = await socket.request("session:open", { ...ref, machine_id: "bench-machine" });
  if (!opened.ok) throw new Error(`session:open refused: ${JSON.stringify(opened)}`);
  return { publish: (metadata) => socket.request("changes:publish", { ...ref, metadata }) };
}

const STEPS = [
  "Reading server/writer/commit.ts and its tests",
  "Running the unit tests of the shared package",
  "Editing the lease arithmetic after review notes",
  "Waiting for the type checker to finish its run",
];

/**
 * A change of realistic size, about 200 bytes of JSON: what a coding agent tells about its step, its budget and its
 * progress. Every field really changes from one publish to the next, so nothing is suppressed as a no-op.
 */
export function realisticMetadata(count: number): Record<string, unknown> {
  return {
    step: count,
    activity: STEPS[count % STEPS.length],
    progress: (count % 100) / 100,
    model: "planner-large",
    branch: `fix/lease-expiry-${count % 7}`,
    tokens_in: 18_000 + 37 * count,
    tokens_out: 2_400 + 11 * count,
    files_changed: count % 23,
    cost_usd: Math.round(count * 1.7) / 100,
  };
}
