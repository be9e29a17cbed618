import { z } from "zod";
import { Change } from "../entities.ts";

/** Changes of a project after a position, in order and without a hole. */
export const ChangesPage = z.object({
  items: z.array(Change).readonly(),
  length: z.int().min(0),
  /** Where `items` end: the `since` for what follows. The head of the log, when nothing follows yet. */
  next: z.string(),
  /** Of `next`. */
  epoch: z.string(),
  seq: z.int().min(0),
});
export type ChangesPage = z.infer<typeof ChangesPage>;
