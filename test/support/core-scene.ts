import { MemoryBase } from "../../server/memory/base.ts";
import type { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { ChangeLog, Projections } from "../../server/ports.ts";
import { Core } from "./core.ts";
import { VirtualTime } from "./virtual-time.ts";

export const HOUR_MS = 60 * 60_000;

/** Stores in memory with cores of hubs on them, in a time of their own, in which no lease ends. */
export class CoreScene<Log extends MemoryChangeLog> {
  readonly time = new VirtualTime();
  readonly changeLog: Log;
  readonly projections = new MemoryProjections();
  readonly base = new MemoryBase();
  readonly #cores: Core[] = [];

  constructor(changeLog: Log) {
    this.changeLog = changeLog;
  }

  run(work: (scene: this) => Promise<void>): Promise<void> {
    return this.time.run(
      () => 0.5,
      20 * HOUR_MS,
      async () => {
        await work(this);
        for (const core of this.#cores) core.stop();
      },
    );
  }

  hub(changeLog: ChangeLog = this.changeLog, projections: Projections = this.projections): Core {
    const { time, base } = this;
    const leaseTerms = () => ({ ttlMs: 100 * HOUR_MS, graceMs: 100 * HOUR_MS });
    const core = new Core({ hubId: `h${this.#cores.length}`, time, changeLog, projections, base, leaseTerms });
    this.#cores.push(core);
    return core;
  }
}
