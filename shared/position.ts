import { z } from "zod";

/** The last change a client has applied: which life of the numbering, and its number. `""`, 0: nothing yet. */
export const Position = z.object({ epoch: z.string().max(64), seq: z.int().min(0) });
export type Position = z.infer<typeof Position>;

/** A position as one word, in URLs and ids of events: `<epoch>:<seq>`; a project without changes has no epoch, so `:0`. */
export const PositionText = z
  .string()
  .regex(/^[0-9A-Za-z]{0,64}:\d{1,15}$/, "must be a position such as 5b0c9a17e2d4f836:31")
  .transform((text): Position => {
    const [epoch = "", seq = ""] = text.split(":");
    return { epoch, seq: Number(seq) };
  });

export function positionText({ epoch, seq }: Position): string {
  return `${epoch}:${seq}`;
}
