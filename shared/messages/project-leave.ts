import { z } from "zod";
import { Id } from "../ids.ts";

/** Viewer → hub: stop following. */
export const ProjectLeave = z.object({ project_id: Id });
export type ProjectLeave = z.infer<typeof ProjectLeave>;

/** Nothing but that it is done. */
export const ProjectLeft = z.object({});
export type ProjectLeft = z.infer<typeof ProjectLeft>;
