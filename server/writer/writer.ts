import { randomBytes } from "node:crypto";
import { type Refusal, refuse } from "../../shared/errors.ts";
import type { Limits } from "../../shared/limits.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Answer, Command } from "../domain/commands.ts";
import type { Entry } from "../domain/records.ts";
import { DRAINING } from "../drain/refusal.ts";
import type { AppendOutcome, ChangeLog, Clock, Logger, ProjectionBatch, Projections } from "../ports.ts";
import { pause } from "../timing.ts";
import { AppendPace } from "./append-pace.ts";
import { type Commit, compose } from "./compose.ts";
import type { DecidedJob, Job } from "./job.ts";
import { accepted, type Outcome, refused } from "./outcome.ts";
import type { Project } from "./project.ts";
import type { ProjectedMarks } from "./projected-marks.ts";
import type { Projector } from "./projector.ts";
import type { Projects } from "./projects.ts";
import { settleAppend, type Uncertainty } from "./uncertain-append.ts";

interface Options {
  readonly hubId: string;
  readonly limits: Limits;
  readonly bounds: typeof BOUNDS;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly projects: Projects;
  readonly projector: Projector;
  readonly marks: ProjectedMarks;
  readonly clock: Clock;
  readonly log: Logger;
}

const UNKNOWN_OUTCOME: Refusal = {
  code: "UNAVAILABLE",
  message: "the database did not answer in time; outcome unknown, retry with the same op",
  retry_after_ms: 1_000,
};

/**
 * The path of a change: queue → decide → append → apply → project → answer.
 *
 * What a crash leaves behind: before the append, nothing (the agent sends the op again); after it, a committed change
 * whose documents are written by the repair pass at the next start, and whose agent gets `duplicate: true`.
 *
 * A project has at most one append whose outcome is open. The key of an entry is (project, from_seq): that uniqueness
 * is the only coordination between hubs.
 */
export class Writer {
  /** Since the start. */
  readonly counts = { entries: 0, changes: 0, lostRaces: 0, unknownAppends: 0 };
  readonly #options: Options;
  readonly #ready = new Set<Project>();
  readonly #open = new Set<Job>();
  /** Jobs of projects whose head is being read, in their order. */
  readonly #arriving = new Map<string, Job[]>();
  /** Projects that wait for their turn among the hubs that write them. */
  readonly #waiting = new Map<Project, NodeJS.Timeout>();
  readonly #sweep: NodeJS.Timeout;
  #queued = 0;
  #queuedBytes = 0;
  readonly #pace: AppendPace;
  #flushScheduled = false;
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
    const onFree = () => this.#schedule();
    this.#pace = new AppendPace({ clock: options.clock, bounds: options.bounds, onFree });
    this.#sweep = setInterval(() => this.#expire(), options.bounds.commitSweepMs);
    options.projects.onEntry((project) => this.#endWait(project));
  }

  /** Decides the command and makes it durable. Resolves, never rejects; at the latest after the commit deadline. */
  submit(projectId: string, command: Command, bytes: number): Promise<Outcome<Answer>> {
    if (this.#stopped) return Promise.resolve(refused(DRAINING));
    const arriving = this.#arriving.get(projectId);
    const known = arriving === undefined ? this.#options.projects.known(projectId) : undefined;
    const overloaded = this.#overload(known, arriving?.length ?? 0, bytes);
    if (overloaded !== undefined) return Promise.resolve(overloaded);
    return new Promise((resolve) => {
      const job = this.#newJob(command, bytes, resolve);
      if (arriving !== undefined) arriving.push(job);
      else if (known !== undefined) this.#enqueue(known, job);
      else void this.#arrive(projectId, [job]);
    });
  }

  /** Publishes that wait or are under way. */
  get openJobs(): number {
    return this.#queued;
  }

  /** Approximate, of those. */
  get openBytes(): number {
    return this.#queuedBytes;
  }

  /** Stops timers. Call after `openJobs` is 0 or the patience is over; what is open is answered `UNAVAILABLE`. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#sweep);
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    for (const job of this.#open) job.settle(refused(refuse("UNAVAILABLE", "the hub stops; outcome unknown")));
  }

  #overload(project: Project | undefined, arriving: number, bytes: number): Outcome<Answer> | undefined {
    const { bounds } = this.#options;
    const full =
      this.#queued >= bounds.queuedPerHub ||
      this.#queuedBytes + bytes > bounds.queuedBytesPerHub ||
      arriving >= bounds.queuedPerProject ||
      (project !== undefined &&
        (project.queue.length >= bounds.queuedPerProject ||
          project.queuedBytes + bytes > bounds.queuedBytesPerProject));
    if (!full) return undefined;
    return refused({ code: "OVERLOADED", message: "too many publishes wait; try again later", retry_after_ms: 1_000 });
  }

  #newJob(command: Command, bytes: number, resolve: (outcome: Outcome<Answer>) => void): Job {
    const job: Job = {
      command,
      bytes,
      deadline: this.#options.clock.monotonic() + this.#options.bounds.commitDeadlineMs,
      settled: false,
      hasLostRace: false,
      mayBeApplied: false,
      settle: (outcome) => {
        if (job.settled) return;
        job.settled = true;
        this.#open.delete(job);
        this.#queued -= 1;
        this.#queuedBytes -= bytes;
        resolve(outcome);
      },
    };
    this.#open.add(job);
    this.#queued += 1;
    this.#queuedBytes += bytes;
    return job;
  }

  /** Reads the head of a project that is not known yet; jobs that come meanwhile stand behind the first. */
  async #arrive(projectId: string, jobs: Job[]): Promise<void> {
    this.#arriving.set(projectId, jobs);
    while (jobs.length > 0) {
      try {
        const project = await this.#options.projects.get(projectId);
        for (const job of jobs.splice(0)) if (!job.settled) this.#enqueue(project, job);
      } catch (error) {
        this.#options.log.warn({ err: error, project_id: projectId }, "project not loaded, will be tried again");
        await pause(this.#options.bounds.unknownRetryFirstMs);
        jobs.splice(0, jobs.length, ...jobs.filter((job) => !job.settled));
      }
    }
    this.#arriving.delete(projectId);
  }

  #enqueue(project: Project, job: Job): void {
    project.queue.push(job);
    project.queuedBytes += job.bytes;
    project.usedAt = this.#options.clock.monotonic();
    this.#markReady(project);
  }

  #markReady(project: Project): void {
    if (project.appending || project.queue.length === 0 || this.#waiting.has(project)) return;
    this.#ready.add(project);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#flushScheduled || this.#stopped || this.#ready.size === 0 || !this.#pace.isFree) return;
    this.#flushScheduled = true;
    const flush = () => {
      this.#flushScheduled = false;
      void this.#flush();
    };
    const wait = this.#pace.waitMs;
    // At the earliest after the sockets of this turn were read: what came in together is committed together.
    if (wait === 0) setImmediate(flush);
    else setTimeout(flush, wait);
  }

  /** One append for all projects that are ready. */
  async #flush(): Promise<void> {
    if (this.#stopped || !this.#pace.isFree) return;
    const commits = this.#composeReady();
    if (commits.length === 0) return;
    const publishes = commits.reduce((sum, { jobs }) => sum + jobs.length, 0);
    const answer = this.#options.changeLog.append(commits.map((commit) => commit.entry));
    const outcomes = await this.#pace.follow(publishes, answer);
    commits.forEach((commit, index) => {
      this.#safely(commit, () => this.#conclude(commit, outcomes[index] ?? "unknown"));
    });
    this.#schedule();
  }

  #composeReady(): (Commit & { readonly entry: Entry })[] {
    const { bounds, clock, hubId, limits, log } = this.#options;
    const commits: (Commit & { readonly entry: Entry })[] = [];
    const monotonic = clock.monotonic();
    let bytes = 0;
    for (const project of this.#ready) {
      if (bytes > bounds.appendBytes) break;
      this.#ready.delete(project);
      if (project.appending) continue;
      const untilTurn = project.turns.of(hubId) - monotonic;
      if (untilTurn > 0) {
        this.#wait(project, untilTurn);
        continue;
      }
      if (!project.isHeadRecent(clock)) {
        project.appending = true;
        void this.#release(project, () => this.#options.projects.catchUp(project));
        continue;
      }
      try {
        const newEpoch = () => randomBytes(8).toString("hex");
        const composed = compose(project, { hubId, limits, bounds, now: clock.now(), newEpoch });
        if (composed.missing.size > 0) void this.#load(project, composed.missing);
        const { commit } = composed;
        if (commit.entry === undefined) {
          if (commit.jobs.length > 0) void this.#confirm(commit);
        } else {
          project.appending = true;
          for (const { job } of commit.jobs) job.mayBeApplied = true;
          bytes += commit.bytes;
          commits.push({ ...commit, entry: commit.entry });
        }
      } catch (error) {
        log.error({ err: error, project_id: project.id }, "deciding failed");
        for (const job of project.queue.splice(0)) {
          project.queuedBytes -= job.bytes;
          job.settle(refused(refuse("INTERNAL", "internal error; nothing was changed")));
        }
      }
    }
    return commits;
  }

  /**
   * Refusals and answers without changes are as good as the head they were decided on: another hub may have moved on.
   * An append would prove it; without one the log is read, and where it goes on the jobs are decided again.
   */
  async #confirm(commit: Commit): Promise<void> {
    const { projects, bounds, log } = this.#options;
    const { project, jobs } = commit;
    const { head } = project;
    project.appending = true;
    try {
      await projects.catchUp(project);
      if (project.head === head) this.#answer(commit);
      else this.#requeue(project, jobs);
    } catch (error) {
      log.warn({ err: error, project_id: project.id }, "head not read, will be tried again");
      await pause(bounds.unknownRetryFirstMs);
      this.#requeue(project, jobs);
    }
    project.appending = false;
    this.#markReady(project);
  }

  /** Back to the front of the queue, in their order. */
  #requeue(project: Project, jobs: readonly DecidedJob[]): void {
    const waiting = jobs.map(({ job }) => job).filter((job) => !job.settled);
    for (const job of waiting) project.queuedBytes += job.bytes;
    project.queue.unshift(...waiting);
  }

  /** One project's bug must not keep the others from their answers. */
  #safely(commit: Commit, conclude: () => void): void {
    try {
      conclude();
    } catch (error) {
      this.#options.log.error({ err: error, project_id: commit.project.id }, "a commit could not be concluded");
    }
  }

  #conclude(commit: Commit & { readonly entry: Entry }, outcome: AppendOutcome): void {
    switch (outcome) {
      case "committed":
        if (commit.project.isHeadRecent(this.#options.clock)) this.#committed(commit);
        else void this.#settle(commit, "late");
        return;
      case "taken":
      case "unknown":
        if (outcome === "unknown") this.counts.unknownAppends += 1;
        void this.#settle(commit, outcome);
        return;
      case "impossible":
        for (const { job } of commit.jobs) {
          job.settle(refused(refuse("INTERNAL", "internal error; nothing was changed")));
        }
        commit.project.appending = false;
        this.#markReady(commit.project);
        return;
    }
  }

  #committed(commit: Commit & { readonly entry: Entry }): void {
    const { projects, projector, marks, clock } = this.#options;
    const { project, entry } = commit;
    this.counts.entries += 1;
    this.counts.changes += entry.changes.length;
    // catchUp may have read this very entry before its own answer came.
    project.projectionBegins(entry.from_seq);
    if (entry.from_seq === project.head.seq + 1) projects.apply(project, entry, commit.bytes, commit.drafts);
    project.confirmHead(clock);
    project.appending = false;
    this.#markReady(project);
    const marked = entry.from_seq === 1 ? this.#createMark(entry) : undefined;
    const touched = [...commit.drafts.values()].map((draft) => draft.touched);
    const sessions = touched.flatMap(({ session }) => (session === undefined ? [] : [session]));
    const tasks = touched.flatMap((draft) => [...draft.tasks.values()]);
    projector.project(sessions, tasks, () => {
      marks.add(project.id, entry.from_seq, entry.to_seq);
      project.projectionEnds();
      // A new project is in the list of projects when its first change is acked.
      if (marked === undefined) this.#answer(commit);
      else void marked.then(() => this.#answer(commit));
    });
  }

  async #settle(commit: Commit & { readonly entry: Entry }, outcome: Uncertainty): Promise<void> {
    const isStopped = () => this.#stopped;
    const settled = await settleAppend(commit, outcome, { ...this.#options, isStopped });
    if (settled === "committed") this.#safely(commit, () => this.#committed(commit));
    else if (settled === "lost") this.#lost(commit);
    else if (settled === "forgotten") this.#forgotten(commit);
  }

  /** Whether it was applied before it was trimmed, nobody can tell any more; whoever still waits asks by its op. */
  #forgotten(commit: Commit): void {
    for (const { job } of commit.jobs) job.settle(refused(UNKNOWN_OUTCOME));
    this.#lost(commit);
  }

  /** Decided again on the new head, together with what has come meanwhile. */
  #lost({ project, jobs }: Commit): void {
    this.counts.lostRaces += 1;
    for (const { job } of jobs) {
      job.hasLostRace = true;
      job.mayBeApplied = false;
    }
    this.#requeue(project, jobs);
    project.appending = false;
    this.#markReady(project);
  }

  #answer(commit: Commit): void {
    for (const { job, decision, leansOn } of commit.jobs) {
      if (decision.kind === "refused") job.settle(refused(decision.refusal));
      else if (decision.changes.length > 0) job.settle(accepted(decision.answer));
      else this.#answerUnchanged(commit.project, job, decision.answer, leansOn);
    }
  }

  /** What changed nothing leans on earlier changes, which REST must show as well before it is acked. */
  #answerUnchanged(project: Project, job: Job, answer: Answer, { sessions, tasks }: ProjectionBatch): void {
    job.mayBeApplied = true;
    const settle = () => job.settle(accepted(answer));
    project.whenProjected(answer.seq, () => {
      if (sessions.length + tasks.length === 0) settle();
      else this.#options.projector.project(sessions, tasks, settle);
    });
  }

  async #createMark(entry: Entry): Promise<void> {
    try {
      await this.#options.projections.createMark(entry.project_id, { epoch: entry.epoch, logStart: 1 }, entry.at);
    } catch (error) {
      this.#options.log.warn({ err: error, project_id: entry.project_id }, "project document not made; repair will");
    }
  }

  async #load(project: Project, missing: ReadonlySet<string>): Promise<void> {
    const { projects, bounds, log } = this.#options;
    const wanted = [...missing];
    for (let start = 0; start < wanted.length; start += bounds.familiesPerLoad) {
      const isMissing = (id: string) => !project.loading.has(id) && project.peek(id) === undefined;
      // What is being loaded by now will mark the project ready when it is there.
      const sessionIds = wanted.slice(start, start + bounds.familiesPerLoad).filter(isMissing);
      if (sessionIds.length === 0) continue;
      try {
        await projects.load(project, sessionIds);
      } catch (error) {
        log.warn({ err: error, project_id: project.id }, "sessions not loaded, will be tried again");
        await pause(bounds.unknownRetryFirstMs);
      }
      this.#markReady(project);
    }
  }

  /** Until its turn, or until another hub's entry says that it has come. */
  #wait(project: Project, ms: number): void {
    const timer = setTimeout(() => this.#endWait(project), ms);
    this.#waiting.set(project, timer);
  }

  #endWait(project: Project): void {
    const timer = this.#waiting.get(project);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#waiting.delete(project);
    this.#markReady(project);
  }

  async #release(project: Project, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.warn({ err: error, project_id: project.id }, "head not read, will be tried again");
      await pause(this.#options.bounds.unknownRetryFirstMs);
    }
    project.appending = false;
    this.#markReady(project);
  }

  /** Answers those whose time is over; what is under way goes on and settles by the same op. */
  #expire(): void {
    const monotonic = this.#options.clock.monotonic();
    for (const job of this.#open) {
      // Jobs stand in the order of their deadlines.
      if (job.deadline > monotonic) break;
      job.settle(
        refused(
          job.hasLostRace && !job.mayBeApplied
            ? { code: "OVERLOADED", message: "other hubs were faster each time", retry_after_ms: 500 }
            : UNKNOWN_OUTCOME,
        ),
      );
    }
    for (const project of this.#options.projects.all()) project.dropSettled();
  }
}
