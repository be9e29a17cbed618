import { z } from "zod";
import { ERRORS, type ErrorBody, type ErrorCode, type FieldError } from "./errors.ts";

// What errors.ts says, for those who check or describe it: the table itself needs no zod.

export const ErrorCodeWord = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);

const FieldComplaint = z.object({ field: z.string(), message: z.string() }) satisfies z.ZodType<FieldError>;

const Details = z.record(z.string(), z.unknown());

/** Error part of a negative ack. */
export const AckError = z.object({
  code: ErrorCodeWord,
  message: z.string(),
  retryable: z.boolean(),
  retry_after_ms: z.int().min(0).exactOptional(),
  details: Details.exactOptional(),
  request_id: z.string(),
}) satisfies z.ZodType<ErrorBody>;

/** An error over REST: `application/problem+json`, RFC 9457. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: ErrorCodeWord,
  request_id: z.string(),
  errors: z.array(FieldComplaint).readonly().exactOptional(),
  details: Details.exactOptional(),
});
export type Problem = z.infer<typeof Problem>;
