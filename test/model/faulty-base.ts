import type { MemoryBase } from "../../server/memory/base.ts";
import type { Base, ProjectionBatch } from "../../server/ports.ts";
import { partOf, type Wire } from "./faulty-ports.ts";

/** The base behind a wire: a write that failed may have been done, in part or later. */
export class FaultyBase implements Base {
  readonly #base: MemoryBase;
  readonly #wire: Wire;

  constructor(base: MemoryBase, wire: Wire) {
    this.#base = base;
    this.#wire = wire;
  }

  async write(batch: ProjectionBatch): Promise<void> {
    await this.#wire.pass();
    if (this.#wire.chance(this.#wire.faults.writeFails)) {
      await this.#base.write(partOf(batch, this.#wire));
      if (this.#wire.chance(0.5)) void this.#wire.sleepUpTo(60).then(() => this.#base.write(batch));
      throw new Error("write failed (simulated)");
    }
    await this.#base.write(batch);
    await this.#wire.pass();
  }

  readFamilies(projectId: string, sessionIds: readonly string[]) {
    return this.#wire.read(() => this.#base.readFamilies(projectId, sessionIds));
  }

  async *readAll(projectId: string): AsyncIterable<ProjectionBatch> {
    await this.#wire.pass();
    yield* this.#base.readAll(projectId);
  }
}
