import { z } from "zod";
import { Id } from "../ids.ts";
import { Whole } from "./query.ts";

/** What is looked at: of the installation, and of each project. */
export const INSTALLATION_CHECKS = [
  "mongodb",
  "replica_set",
  "write_concern",
  "indexes",
  "redis",
  "clock",
  "hubs",
] as const;
export const PROJECT_CHECKS = ["log", "projection", "documents", "base", "counts"] as const;

/** Projects of one page: each costs a good second where it is large. */
export const MOST_PROJECTS = 100;
export const DEFAULT_PROJECTS = 20;

export const ProjectsLimit = Whole.pipe(z.int().min(1).max(MOST_PROJECTS)).default(DEFAULT_PROJECTS);

export const DoctorQuery = z.object({
  project_id: Id.optional(),
  limit: ProjectsLimit,
  cursor: z.string().min(1).max(1_024).optional(),
});

export const Check = z.object({
  name: z.enum([...INSTALLATION_CHECKS, ...PROJECT_CHECKS]),
  /** Of a project's check. */
  project_id: Id.exactOptional(),
  /** Absent: it could not be told; `detail` says why. */
  ok: z.boolean().exactOptional(),
  detail: z.string(),
  /** Beside `ok: true` it is advice. */
  what_to_do: z.string().exactOptional(),
});
export type Check = z.infer<typeof Check>;

export const DoctorReport = z.object({
  /** False: a check found something wrong. Absent: none did, and not all could be told. */
  ok: z.boolean().exactOptional(),
  checks: z.array(Check).readonly(),
  /** Projects that were looked at. */
  projects: z.int().min(0),
  /** There when projects follow: give it as `cursor`. */
  next_cursor: z.string().exactOptional(),
});
export type DoctorReport = z.infer<typeof DoctorReport>;

/** What some checks say together. */
export function overall(checks: readonly Check[]): Pick<DoctorReport, "ok"> {
  if (checks.some(({ ok }) => ok === false)) return { ok: false };
  return checks.every(({ ok }) => ok) ? { ok: true } : {};
}
