import { MemoryBeats } from "../../server/memory/beats.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryLostSessions } from "../../server/memory/lost-sessions.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { beatsContract } from "./beats.ts";
import { changeLogContract } from "./change-log.ts";
import { lostSessionsContract } from "./lost-sessions.ts";
import { projectionsContract } from "./projections.ts";

changeLogContract("memory", async () => new MemoryChangeLog());
projectionsContract("memory", async () => new MemoryProjections());
lostSessionsContract("memory", async () => {
  const projections = new MemoryProjections();
  return { projections, lostSessions: new MemoryLostSessions(projections) };
});
beatsContract("memory", async () => new MemoryBeats());
