import { z } from "zod";

export const DEFAULT_PAGE = 50;
export const MAX_PAGE = 500;

/** Parameters as they come in a URL: text that has to read as something. */
export const Whole = z
  .string()
  .regex(/^\d{1,9}$/, "must be a whole number")
  .transform(Number);

const TIME_ERROR = "must be an ISO 8601 time such as 2026-11-22T06:00:00Z";

/**
 * ISO 8601 with `Z` or an offset, made UTC with milliseconds. An offset can lead out of the years of four digits; times are
 * compared as text, and one with a sign before its year would be earlier than all others.
 */
export const Time = z.iso
  .datetime({ offset: true, error: TIME_ERROR })
  .transform((text) => new Date(text).toISOString())
  .refine((time) => /^\d{4}-/.test(time), TIME_ERROR);

export const PageParameters = {
  limit: Whole.pipe(z.int().min(1).max(MAX_PAGE)).default(DEFAULT_PAGE),
  cursor: z.string().min(1).max(1_024).optional(),
};

/** One page of a list. */
export const pageOf = <S extends z.ZodType>(item: S) =>
  z.object({
    items: z.array(item).readonly(),
    /** Of this page. */
    length: z.int().min(0),
    /** There when more may follow. */
    next_cursor: z.string().exactOptional(),
  });
