import { z } from "zod";
import type { Position } from "../../shared/position.ts";

/** A position as it stands in URLs: `<epoch>:<seq>`; a project without changes has no epoch yet, so `:0`. */
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
