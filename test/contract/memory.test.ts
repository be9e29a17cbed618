import { MemoryBase } from "../../server/memory/base.ts";
import { MemoryBeats } from "../../server/memory/beats.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryHeldSessions } from "../../server/memory/held-sessions.ts";
import { MemoryHubs } from "../../server/memory/hubs.ts";
import { MemoryLostSessions } from "../../server/memory/lost-sessions.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { MemoryPurges } from "../../server/memory/purges.ts";
import { baseContract } from "./base.ts";
import { beatsContract } from "./beats.ts";
import { changeLogContract } from "./change-log.ts";
import { heldSessionsContract } from "./held-sessions.ts";
import { hubsContract } from "./hubs.ts";
import { lostSessionsContract } from "./lost-sessions.ts";
import { projectionsContract } from "./projections.ts";
import { purgesContract } from "./purges.ts";

baseContract("memory", async () => new MemoryBase());
changeLogContract("memory", async () => new MemoryChangeLog());
projectionsContract("memory", async () => new MemoryProjections());
lostSessionsContract("memory", async () => {
  const projections = new MemoryProjections();
  return { projections, lostSessions: new MemoryLostSessions(projections) };
});
beatsContract("memory", async () => new MemoryBeats());
hubsContract("memory", async () => new MemoryHubs());
heldSessionsContract("memory", async () => {
  const projections = new MemoryProjections();
  return { projections, held: new MemoryHeldSessions(projections) };
});
purgesContract("memory", async () => new MemoryPurges());
