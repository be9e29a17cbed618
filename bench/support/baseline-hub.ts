import { createServer } from "node:http";
import mongoose, { Schema } from "mongoose";
import { Server, type Socket } from "socket.io";

/**
 * The hub somebody would write by hand in an afternoon, competently, and the one State Hub is measured against:
 * Socket.IO, and per change one `findOneAndUpdate` of the session and one insert into the history, both majority and
 * journaled, then the ack, then the room.
 *
 * It is meant to be fair, so it leaves out whatever would only slow it down: no sequence number per project (that
 * would be a hot counter document; history is ordered by the session's version), no retry bookkeeping, no check of who
 * owns a session, hand-written validation, lean results, one index on the history. Same Node, same mongod, same pool
 * size, same Socket.IO options as the hub.
 */
const env = process.env;
const keys = new Set((env.API_KEYS ?? "").split(","));

const sessionSchema = new Schema(
  {
    _id: String,
    session_id: { type: String, required: true },
    project_id: { type: String, required: true },
    machine_id: { type: String, required: true },
    status: { type: String, required: true, default: "ACTIVE" },
    metadata: { type: Schema.Types.Mixed, default: {} },
    version: { type: Number, required: true },
    created_at: Date,
    updated_at: Date,
  },
  { versionKey: false, minimize: false },
);

const changeSchema = new Schema(
  {
    project_id: { type: String, required: true },
    session_id: { type: String, required: true },
    version: { type: Number, required: true },
    at: { type: Date, required: true },
    agent_id: String,
    patch: Schema.Types.Mixed,
  },
  { versionKey: false },
);
changeSchema.index({ project_id: 1, session_id: 1, version: -1 });

const Session = mongoose.model("Session", sessionSchema, "sessions");
const Change = mongoose.model("Change", changeSchema, "changes");

type Reply = (answer: Record<string, unknown>) => void;

interface Published {
  readonly session_id: string;
  readonly project_id: string;
  readonly metadata: Record<string, unknown>;
}

function isPublished(body: unknown): body is Published {
  if (typeof body !== "object" || body === null) return false;
  const { session_id, project_id, metadata } = body as Partial<Record<keyof Published, unknown>>;
  return (
    typeof session_id === "string" &&
    typeof project_id === "string" &&
    typeof metadata === "object" &&
    metadata !== null &&
    Object.keys(metadata).every((key) => !key.startsWith("$") && !key.includes("."))
  );
}

async function openSession(body: Published & { machine_id: string }): Promise<Record<string, unknown>> {
  const { session_id, project_id, machine_id } = body;
  const now = new Date();
  const session = await Session.findOneAndUpdate(
    { _id: `${project_id}/${session_id}` },
    {
      $set: { machine_id, updated_at: now },
      $setOnInsert: { session_id, project_id, status: "ACTIVE", metadata: {}, version: 1, created_at: now },
    },
    { upsert: true, returnDocument: "after", lean: true },
  );
  return { ok: true, session };
}

async function publish(io: Server, agentId: string, body: Published): Promise<Record<string, unknown>> {
  const { session_id, project_id, metadata } = body;
  const at = new Date();
  const set: Record<string, unknown> = { updated_at: at };
  for (const [key, value] of Object.entries(metadata)) set[`metadata.${key}`] = value;
  const session = await Session.findOneAndUpdate(
    { _id: `${project_id}/${session_id}` },
    { $set: set, $inc: { version: 1 } },
    { returnDocument: "after", lean: true },
  );
  if (!session) return { ok: false, error: { code: "NOT_FOUND", message: "no such session" } };
  const change = { project_id, session_id, version: session.version, at, agent_id: agentId, patch: metadata };
  await Change.create(change);
  io.of("/viewers").to(`project:${project_id}`).emit("change", change);
  return { ok: true, version: session.version };
}

function handle<Body>(socket: Socket, event: string, run: (body: Body) => Promise<Record<string, unknown>>): void {
  socket.on(event, async (body: unknown, reply: Reply) => {
    try {
      if (event === "changes:publish" && !isPublished(body)) throw new Error("malformed publish");
      reply(await run(body as Body));
    } catch (error) {
      reply({ ok: false, error: { code: "FAILED", message: error instanceof Error ? error.message : "failed" } });
    }
  });
}

await mongoose.connect(env.MONGODB_URI ?? "", {
  maxPoolSize: 50,
  minPoolSize: 10,
  writeConcern: { w: "majority", journal: true },
});
await Promise.all([Session.init(), Change.init()]);

const server = createServer((_, response) => response.end("ok"));
const io = new Server(server, { transports: ["websocket"], serveClient: false });

for (const namespace of ["/agents", "/viewers"]) {
  io.of(namespace).use((socket, next) => {
    next(keys.has(String(socket.handshake.auth.key)) ? undefined : new Error("unauthorized"));
  });
}
io.of("/agents").on("connection", (socket) => {
  const agentId = String(socket.handshake.auth.agent_id);
  handle(socket, "session:open", openSession);
  handle(socket, "changes:publish", (body: Published) => publish(io, agentId, body));
});
io.of("/viewers").on("connection", (socket) => {
  handle(socket, "project:join", async (body: { project_id: string }) => {
    await socket.join(`project:${body.project_id}`);
    return { ok: true };
  });
});
server.listen(Number(env.PORT), env.HOST);

process.once("SIGTERM", async () => {
  await io.close();
  await mongoose.disconnect();
  process.exit(0);
});
