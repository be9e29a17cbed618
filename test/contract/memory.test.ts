import { MemoryBeats } from "../../server/memory/beats.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { beatsContract } from "./beats.ts";
import { changeLogContract } from "./change-log.ts";
import { projectionsContract } from "./projections.ts";

changeLogContract("memory", async () => new MemoryChangeLog());
projectionsContract("memory", async () => new MemoryProjections());
beatsContract("memory", async () => new MemoryBeats());
