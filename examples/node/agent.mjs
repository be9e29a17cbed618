// An agent with three tasks. `node agent.mjs [session id]`
import { connectAgent } from "@state-hub/client";

const url = process.env.STATE_HUB_URL ?? "http://127.0.0.1:3000";
const key = process.env.STATE_HUB_KEY ?? "";
const sessionId = process.argv[2] ?? `example-node-${Date.now()}`;

const agent = connectAgent({ url, key });
agent.on("error", (error) => console.error(`${error.code}: ${error.message}`));

const session = agent.open({ sessionId, metadata: { title: "Example in Node" } });
session.on("error", (error) => console.error(`${error.code}: ${error.message}`));
// A newer agent owns the session, or a person ended it: stop working.
session.on("fenced", ({ reason }) => process.exit(reason === "ended" ? 0 : 1));

for (const [index, title] of ["Read", "Think", "Write"].entries()) {
  session.working(title, index / 3);
  const task = session.task(title, { id: title.toLowerCase() });
  await new Promise((resolve) => setTimeout(resolve, 500)); // the work itself
  await task.done();
}
const { seq } = await session.close("COMPLETED", { tasks: 3 });
await agent.close();
console.log(`${sessionId} ended with change ${seq}`);
