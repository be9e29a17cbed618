import { refuse } from "../../shared/errors.ts";
import { type Check, type DoctorReport, overall, type PROJECT_CHECKS } from "../../shared/rest/doctor.ts";
import type { BOUNDS } from "../bounds.ts";
import type { ProjectCounts } from "../counting/project-counts.ts";
import type { Base, ChangeLog, Clock, Projections } from "../ports.ts";
import type { Queries } from "../queries/ports.ts";
import { pause } from "../timing.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Projects } from "../writer/projects.ts";
import { checkBase } from "./check-base.ts";
import { checkCounts } from "./check-counts.ts";
import { checkDocuments } from "./check-documents.ts";
import { checkInstallation } from "./check-installation.ts";
import { checkLog } from "./check-log.ts";
import { checkProjection } from "./check-projection.ts";
import type { Inspection } from "./ports.ts";
import { untold, type Verdict } from "./verdict.ts";

type Installation = Parameters<typeof checkInstallation>[0];

interface Options extends Installation {
  readonly inspection: Inspection;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
  readonly queries: Pick<Queries, "readHistory">;
  readonly projects: Pick<Projects, "get" | "catchUp">;
  readonly projectCounts: Pick<ProjectCounts, "check">;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
}

/** Which projects: one, or those after an id, so many at most. */
export type Wish = { readonly projectId: string } | { readonly afterId: string | undefined; readonly limit: number };

/** The report of one page, and the project that it ended with where more follow. */
export interface Examination {
  readonly report: DoctorReport;
  readonly lastId: string | undefined;
}

type ProjectCheck = (typeof PROJECT_CHECKS)[number];

const LOG_IS_WRONG = untold("the log is not whole, so documents are not compared with it");
const BUSY = { ...refuse("OVERLOADED", "the doctor is at work for somebody else; try again"), retry_after_ms: 1_000 };

/**
 * Compares what is kept with what is true, at this hub and in the database. It only reads, one project after the other with
 * pauses between, for one asker at a time; what it does not get to in its time it says, or leaves for the next page.
 */
export class Doctor {
  readonly #options: Options;
  #isBusy = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Rejects when MongoDB stops answering in the middle; one that is away from the start is a finding. */
  async examine(wish: Wish): Promise<Outcome<Examination>> {
    if (this.#isBusy) return refused(BUSY);
    this.#isBusy = true;
    try {
      return accepted(await this.#examine(wish));
    } finally {
      this.#isBusy = false;
    }
  }

  async #examine(wish: Wish): Promise<Examination> {
    const { clock, bounds } = this.#options;
    const until = clock.monotonic() + ("projectId" in wish ? bounds.doctorProjectMs : bounds.doctorMs);
    const isOver = () => clock.monotonic() >= until;
    const isFirst = "projectId" in wish || wish.afterId === undefined;
    const checks = isFirst ? await checkInstallation(this.#options) : [];
    const isAway = checks.some(({ name, ok }) => name === "mongodb" && ok === false);
    const { ids, hasMore } = isAway ? { ids: [], hasMore: false } : await this.#find(wish);
    const looked: string[] = [];
    for (const projectId of ids) {
      // One of them at least, so that pages come to an end.
      if (looked.length > 0 && isOver()) break;
      checks.push(...(await this.#examineProject(projectId, isOver)));
      looked.push(projectId);
    }
    const lastId = hasMore || looked.length < ids.length ? looked.at(-1) : undefined;
    return { report: { ...overall(checks), checks, projects: looked.length }, lastId };
  }

  async #find(wish: Wish): Promise<{ readonly ids: readonly string[]; readonly hasMore: boolean }> {
    if ("projectId" in wish) return { ids: [wish.projectId], hasMore: false };
    const found = await this.#options.inspection.listProjectIds(wish.afterId, wish.limit + 1);
    return { ids: found.slice(0, wish.limit), hasMore: found.length > wish.limit };
  }

  async #examineProject(project_id: string, isOver: () => boolean): Promise<Check[]> {
    const { clock, bounds } = this.#options;
    const options = this.#options;
    const begun = clock.monotonic();
    const log = await checkLog(project_id, options, isOver);
    const steps: Readonly<Record<ProjectCheck, () => Promise<Verdict>>> = {
      log: async () => log,
      projection: () => checkProjection(project_id, options),
      // Of a log with a hole documents cannot but differ, and may be the only copy of what is gone.
      documents: async () => (log.ok === false ? LOG_IS_WRONG : checkDocuments(project_id, options, isOver)),
      base: () => checkBase(project_id, options, isOver),
      counts: () => checkCounts(project_id, options, isOver),
    };
    const checks: Check[] = [];
    for (const [name, check] of Object.entries(steps)) {
      checks.push({ name: name as ProjectCheck, project_id, ...(await check()) });
    }
    await pause(Math.min(clock.monotonic() - begun, bounds.doctorPauseMs));
    return checks;
  }
}
