// An agent that publishes numbers to three sessions until it is killed, or told on stdin to finish. It prints a number
// only after `publish()` has taken it, and `ready` when its sessions are open. `node spool-agent.ts URL KEY SPOOL PROJECT FIRST`

import { writeSync } from "node:fs";
import { connectAgent } from "../../client/agent.ts";
import { openSpool } from "../../client/node/spool.ts";

const [url = "", key = "", file = "", projectId = "", first = "1"] = process.argv.slice(2);
const agent = connectAgent({ url, key, spool: openSpool({ file }) });
agent.on("undelivered", ({ error }) => writeSync(1, `undelivered: ${error.code} ${error.message}\n`));
const sessions = ["s1", "s2", "s3"].map((sessionId) => agent.open({ sessionId, projectId }));
for (const session of sessions) session.on("error", (error) => writeSync(1, `${error.code}: ${error.message}\n`));

void Promise.all(sessions.map((session) => session.ready)).then(() => writeSync(1, "ready\n"));

let number = Number(first);
const work = setInterval(() => {
  for (let burst = 0; burst < 3; burst++) {
    const session = sessions[number % sessions.length];
    const before = session?.undelivered ?? 0;
    session?.publish({ kind: "session", metadata: { number } }, { alone: true });
    if ((session?.undelivered ?? 0) > before) writeSync(1, `${number}\n`);
    number += 1;
  }
}, 2);

process.stdin.once("data", async () => {
  clearInterval(work);
  await agent.close({ status: "COMPLETED", timeoutMs: 60_000 });
  process.exit(0);
});
