// Prints a project's changes until a session has ended. `node viewer.mjs [session id]`
import { displayState, followProject } from "@state-hub/client";

const url = process.env.STATE_HUB_URL ?? "http://127.0.0.1:3000";
const key = process.env.STATE_HUB_KEY ?? "";
const wanted = process.argv[2];

const project = followProject({ url, key, heartbeats: true });
project.on("state", (state) => {
  if (state.name === "waiting") console.error(`${state.cause.message}; trying again`);
});
project.on("change", ({ change, after }) => {
  console.log(`#${change.seq} ${change.kind} ${change.id} ${after?.status ?? ""}`);
  const isEnd = change.kind === "session" && change.type === "ended" && (wanted === undefined || change.id === wanted);
  if (isEnd && after !== undefined) {
    console.log(`${change.id} is ${displayState(after).state}`);
    project.close();
  }
});
await project.ready;
console.log(`following ${project.projectId}: ${project.sessions.size} sessions at change ${project.position.seq}`);
