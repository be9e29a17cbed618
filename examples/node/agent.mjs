// An agent with three tasks. `node agent.mjs [session id]`
import { connectAgent } from "@state-hub/client";

const url = process.env.STATE_HUB_URL ?? "http://127.0.0.1:3000";
const key = process.env.STATE_HUB_KEY ?? "";
const sessionId = process.argv[2] ?? `example-node-${Date.now()}`;

const agent = connectAgent({ url, key, session: { sessionId, metadata: { title: "Example in Node" } } });
agent.on("error", (error) => console.error(`${error.code}: ${error.message}`));
// A newer agent owns the session, or a person ended it: stop working.
agent.on("fenced", ({ reason }) => process.exit(reason === "ended" ? 0 : 1));

for (const [index, title] of ["Read", "Think", "Write"].entries()) {
  const task_id = title.toLowerCase();
  agent.beat({ activity: title, progress: index / 3 });
  await agent.publish({ kind: "task", task_id, title, status: "IN_PROGRESS" });
  await new Promise((resolve) => setTimeout(resolve, 500)); // the work itself
  await agent.publish({ kind: "task", task_id, status: "COMPLETED", progress: 1 });
}
const { seq } = await agent.close("COMPLETED", { tasks: 3 });
console.log(`${sessionId} ended with change ${seq}`);
