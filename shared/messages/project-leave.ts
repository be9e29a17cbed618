import { z } from "zod";
import { Id } from "../ids.ts";

/** Viewer → hub: stop following. */
export const ProjectLeave = z.object({ project_id: Id });
export type ProjectLeave = z.infer<typeof ProjectLeave>;
