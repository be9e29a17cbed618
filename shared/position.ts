import { z } from "zod";

/** The last change a client has applied: which life of the numbering, and its number. `""`, 0: nothing yet. */
export const Position = z.object({ epoch: z.string().max(64), seq: z.int().min(0) });
export type Position = z.infer<typeof Position>;
