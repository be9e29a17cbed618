import { describe, expect, test } from "vitest";
import { problemOf, refuseMethod, refuseTrouble, UNAUTHENTICATED } from "../../server/http/problem.ts";
import { ERRORS, type ErrorCode, refuse, refuseFields } from "../../shared/errors.ts";

describe("problem documents", () => {
  test("[R2] [E5] a missing field reads as promised and stands in errors", () => {
    const problem = problemOf(refuseFields([{ field: "session_id", message: "is required" }]), "r1");
    expect(problem).toEqual({
      type: "urn:state-hub:error:VALIDATION",
      title: "The request is malformed",
      status: 400,
      detail: "ValidationError: field session_id is required",
      code: "VALIDATION",
      request_id: "r1",
      errors: [{ field: "session_id", message: "is required" }],
      details: { errors: [{ field: "session_id", message: "is required" }] },
    });
  });

  test.each(Object.keys(ERRORS) as ErrorCode[])("[E1] %s has the status of the table", (code) => {
    expect(problemOf(refuse(code, "why"), "r1")).toMatchObject({ code, status: ERRORS[code].status, request_id: "r1" });
  });

  test("[K2] the 401 says which headers to send", () => {
    expect(problemOf(UNAUTHENTICATED, "r1")).toMatchObject({
      status: 401,
      detail: "Invalid API Key; send X-Api-Key or Authorization: Bearer",
      code: "UNAUTHENTICATED",
    });
  });

  test("[R4] a wrong method is 405 with code VALIDATION", () => {
    expect(problemOf(refuseMethod("PUT", "GET, HEAD"), "r1")).toMatchObject({ status: 405, code: "VALIDATION" });
  });

  test("[E10] trouble with the database is 503 or 504 and may be tried again", () => {
    expect(refuseTrouble("away")).toMatchObject({ code: "UNAVAILABLE", retry_after_ms: 1_000 });
    expect(refuseTrouble("slow")).toMatchObject({ code: "TIMEOUT", retry_after_ms: 1_000 });
  });
});
