import type { Base, ProjectionBatch } from "../ports.ts";
import { MemoryProjections } from "./projections.ts";

/** What trimming has folded, in memory: for unit tests and simulation. */
export class MemoryBase implements Base {
  readonly #documents = new MemoryProjections();

  write(batch: ProjectionBatch): Promise<void> {
    return this.#documents.write(batch);
  }

  readFamilies(projectId: string, sessionIds: readonly string[]) {
    return this.#documents.readFamilies(projectId, sessionIds);
  }

  async *readAll(projectId: string): AsyncIterable<ProjectionBatch> {
    const { sessions, tasks } = this.#documents.save();
    const ofProject = ({ entity }: { readonly entity: { readonly project_id: string } }) =>
      entity.project_id === projectId;
    yield { sessions: [...sessions.values()].filter(ofProject), tasks: [...tasks.values()].filter(ofProject) };
  }
}
