import { createServer } from "node:http";
import { Server } from "socket.io";

/**
 * Socket.IO and nothing else: the floor under any hub built on it. It stores nothing, checks nothing, numbers the
 * changes in memory, and emits every change to its room as one event, in the same frame the State Hub uses for one
 * change, so that a viewer can be the same program.
 */
type Reply = (answer: Record<string, unknown>) => void;

interface Published {
  readonly session_id: string;
  readonly project_id: string;
  readonly metadata: unknown;
}

const heads = new Map<string, number>();
const lastBeats = new Map<string, unknown>();
let beatCount = 0;

const server = createServer((_, response) => response.end("ok"));
const io = new Server(server, { transports: ["websocket"], serveClient: false });

io.of("/agents").on("connection", (socket) => {
  const actor = { kind: "agent", id: String(socket.handshake.auth.agent_id) };
  socket.on("session:open", (_: unknown, reply: Reply) => reply({ ok: true }));
  socket.on("changes:publish", ({ session_id, project_id, metadata }: Published, reply: Reply) => {
    const seq = (heads.get(project_id) ?? 0) + 1;
    heads.set(project_id, seq);
    const at = new Date().toISOString();
    const entity = { kind: "session", id: session_id, session_id, version: seq, type: "updated" };
    const change = { seq, at, ...entity, actor, patch: { metadata } };
    const frame = { project_id, epoch: "00000000000000ff", from_seq: seq, to_seq: seq, changes: [change] };
    io.of("/viewers").to(`project:${project_id}`).emit("changes", frame);
    reply({ ok: true, seq });
  });
  socket.on("heartbeat", (body: { sessions: { session_id: string }[] }, reply?: Reply) => {
    for (const beat of body.sessions) lastBeats.set(beat.session_id, beat);
    beatCount += 1;
    reply?.({ ok: true, count: beatCount });
  });
});
io.of("/viewers").on("connection", (socket) => {
  socket.on("project:join", async ({ project_id }: { project_id: string }, reply: Reply) => {
    await socket.join(`project:${project_id}`);
    reply({ ok: true, mode: "snapshot", epoch: "", seq: heads.get(project_id) ?? 0 });
  });
});
server.listen(Number(process.env.PORT), process.env.HOST);

process.once("SIGTERM", () => process.exit(0));
