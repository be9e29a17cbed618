import { BENCH_KEY } from "./processes.ts";
import { type Ack, RawSocket } from "./raw-socket.ts";
import { serve } from "./worker.ts";

/** Agents that fill a project with sessions, and viewers that fetch the whole of it. */
interface Fill {
  readonly url: string;
  readonly projectId: string;
  /** Number of the first session. */
  readonly from: number;
  readonly sessions: number;
}

interface Fetch {
  readonly url: string;
  readonly projectId: string;
  readonly viewers: number;
}

interface Fetched {
  /** From the request to the answer of the slowest. */
  readonly joinMs: number;
  /** From the request to the last page of the slowest. */
  readonly allPagesMs: number;
  /** Sessions that each of them got. */
  readonly sessions: readonly number[];
}

const SESSIONS_PER_AGENT = 200;

const sockets: RawSocket[] = [];

async function connect(url: string, namespace: string): Promise<RawSocket> {
  const socket = await RawSocket.connect({ url, namespace, auth: { key: BENCH_KEY, protocol: 1 } });
  sockets.push(socket);
  return socket;
}

function ok(ack: Ack): Ack {
  if (!ack.ok) throw new Error(`refused: ${JSON.stringify(ack.error)}`);
  return ack;
}

async function fill({ url, projectId, from, sessions }: Fill): Promise<void> {
  const end = from + sessions;
  for (let first = from; first < end; first += SESSIONS_PER_AGENT) {
    const socket = await connect(url, "/agents");
    const ids = Array.from({ length: Math.min(SESSIONS_PER_AGENT, end - first) }, (_, index) => first + index);
    await Promise.all(
      ids.map(async (id) => {
        const metadata = { branch: "main", task: "build and test everything", step: id, labels: ["bench", "large"] };
        const session = { session_id: `session-${id}`, project_id: projectId, machine_id: "bench", metadata };
        ok(await socket.request("session:open", session));
      }),
    );
  }
}

async function fetchAll({ url, projectId, viewers }: Fetch): Promise<Fetched> {
  const connected = await Promise.all(Array.from({ length: viewers }, () => connect(url, "/viewers")));
  const started = performance.now();
  const results = await Promise.all(
    connected.map(async (socket) => {
      let page = ok(await socket.request("project:join", { project_id: projectId }));
      const joinMs = performance.now() - started;
      let sessions = (page.sessions as unknown[]).length;
      while (page.next_cursor !== undefined) {
        page = ok(await socket.request("project:snapshot", { project_id: projectId, cursor: page.next_cursor }));
        sessions += (page.sessions as unknown[]).length;
      }
      return { joinMs, allPagesMs: performance.now() - started, sessions };
    }),
  );
  for (const socket of connected) socket.terminate();
  return {
    joinMs: Math.max(...results.map((result) => result.joinMs)),
    allPagesMs: Math.max(...results.map((result) => result.allPagesMs)),
    sessions: results.map((result) => result.sessions),
  };
}

export const operations = { fill, fetchAll };
serve(operations);
