import { z } from "zod";
import { DISPLAY_STATES } from "../display.ts";
import { Liveness, SessionStatus, Timestamp } from "../entities.ts";
import { Id } from "../ids.ts";
import { RecordedChange } from "./changes.ts";
import { PageParameters, pageOf } from "./query.ts";

/** Changes of a project after a position, in order and without a hole. */
export const ChangesPage = z.object({
  items: z.array(RecordedChange).readonly(),
  length: z.int().min(0),
  /** Where `items` end: the `since` for what follows. The head of the log, when nothing follows yet. */
  next: z.string(),
  /** Of `next`. */
  epoch: z.string(),
  seq: z.int().min(0),
});
export type ChangesPage = z.infer<typeof ChangesPage>;

const Count = z.int().min(0);

/** Every word with its number, 0 included. */
const countsOf = <W extends string>(words: readonly W[]) =>
  z.object(Object.fromEntries(words.map((word) => [word, Count])) as Record<W, typeof Count>);

/** A project as of `seq`; without `created_at` while it has no changes. */
export const ProjectView = z.object({
  project_id: Id,
  created_at: Timestamp.exactOptional(),
  epoch: z.string(),
  seq: Count,
  counts: z.object({
    sessions: Count,
    status: countsOf(SessionStatus.options),
    liveness: countsOf(Liveness.options),
    /** By what a person should see. */
    display: countsOf(DISPLAY_STATES),
  }),
});
export type ProjectView = z.infer<typeof ProjectView>;

export const ProjectPage = pageOf(ProjectView);
export type ProjectPage = z.infer<typeof ProjectPage>;

export const ProjectsQuery = z.object(PageParameters);
