import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../test/support/random.ts";
import { until } from "../support/processes.ts";
import { type Door, type Ledger, TortureAgent } from "./torture-agent.ts";
import { TortureViewer } from "./torture-viewer.ts";

export interface CrowdOptions {
  readonly doors: readonly Door[];
  readonly agents: number;
  readonly projects: number;
  /** On each hub. */
  readonly viewersPerProject: number;
  /** Whether clients go to the next hub when theirs is gone, or wait for it. */
  readonly moves: boolean;
  readonly random: Random;
  readonly rest: Rest;
}

/** Made for each agent: what it waits for between one publish and the next. */
export type Rest = (agent: { readonly hub: number; readonly random: Random }) => () => Promise<void>;

const SETTLE_DEADLINE_MS = 60_000;

/** Agents and viewers that follow the protocol and nothing more, spread over projects and hubs. */
export class Crowd {
  readonly ledger: Ledger = {
    publishes: [],
    stays: [],
    anomalies: [],
    counts: { acked: 0, refused: 0, resent: 0, duplicates: 0, resumed: 0 },
  };
  readonly projects: readonly string[];
  readonly agents: readonly TortureAgent[];
  readonly viewers: TortureViewer[];
  readonly #doors: readonly Door[];
  readonly #runs: Promise<void>[];

  constructor(options: CrowdOptions) {
    const { doors, agents, projects, viewersPerProject, random, rest } = options;
    this.#doors = doors;
    this.projects = Array.from({ length: projects }, (_, index) => `project-${index}`);
    const doorsFrom = (index: number): readonly Door[] => {
      const around = doors.map((_, step) => doors[(index + step) % doors.length] as Door);
      return options.moves ? around : around.slice(0, 1);
    };
    this.agents = Array.from({ length: agents }, (_, index) => {
      const own = random.fork();
      // The first project is written through all hubs, each other one through one.
      const project = index % projects;
      const hub = (project === 0 ? Math.floor(index / projects) : project) % doors.length;
      return new TortureAgent({
        doors: doorsFrom(hub),
        name: `agent-${index}`,
        projectId: this.projects[project] ?? "",
        random: own,
        ledger: this.ledger,
        rest: rest({ hub, random: own }),
      });
    });
    this.viewers = this.projects.flatMap((project) =>
      doors.flatMap(({ hub }) =>
        Array.from(
          { length: viewersPerProject },
          (_, index) => new TortureViewer(doorsFrom(hub), `${project} hub ${hub} viewer ${index}`, project),
        ),
      ),
    );
    this.#runs = [...this.agents, ...this.viewers].map((one) => one.run());
  }

  /** All viewers have joined and every agent has been answered at least once, as far as one can tell. */
  async isBusy(): Promise<void> {
    const { counts } = this.ledger;
    await until(
      "the crowd is at work",
      () => this.viewers.every((viewer) => viewer.hasJoined) && counts.acked + counts.refused >= this.agents.length,
      SETTLE_DEADLINE_MS,
    );
  }

  get unsettled(): number {
    return this.agents.filter((agent) => agent.hasUnsettled).length;
  }

  /** Agents publish nothing new, but stay; how many were never answered, which is noted. */
  async settle(): Promise<{ readonly unsettled: number }> {
    for (const agent of this.agents) agent.stop();
    const giveUpAt = performance.now() + SETTLE_DEADLINE_MS;
    while (this.unsettled > 0 && performance.now() < giveUpAt) await sleep(20);
    for (const agent of this.agents) agent.noteUnsettled();
    return { unsettled: this.unsettled };
  }

  /** Somebody who comes late sees it all at once: the snapshot is judged like a mirror that was kept up. */
  latecomers(): void {
    for (const project of this.projects) {
      const late = new TortureViewer(this.#doors, `${project} latecomer`, project);
      this.viewers.push(late);
      this.#runs.push(late.run());
    }
  }

  /** Waits until the viewers stand at these heads; false when they do not get there. */
  async isLevel(heads: ReadonlyMap<string, number>): Promise<boolean> {
    const isThere = (viewer: TortureViewer) =>
      viewer.hasJoined && viewer.position >= (heads.get(viewer.projectId) ?? 0);
    return until("viewers are level", () => this.viewers.every(isThere), SETTLE_DEADLINE_MS).then(
      () => true,
      () => false,
    );
  }

  async leave(): Promise<void> {
    for (const agent of this.agents) agent.leave();
    for (const viewer of this.viewers) viewer.stop();
    await Promise.all(this.#runs);
  }
}
