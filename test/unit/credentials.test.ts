import { expect, test } from "vitest";
import { keyFromHeaders, withoutKeys } from "../../server/domain/credentials.ts";

const A = "3f0e5a52-1d0a-4c1b-9d7e-6a7b8c9d0e1f";
const B = "7c1f0b8e-2b1c-4d2e-8f3a-1b2c3d4e5f60";

test.each([
  [{}, { key: undefined }],
  [{ "x-api-key": A }, { key: A }],
  [{ authorization: `Bearer ${A}` }, { key: A }],
  [{ authorization: `bearer   ${A}` }, { key: A }],
  [{ authorization: `Basic ${A}` }, { key: undefined }],
  [{ authorization: A }, { key: undefined }],
  [{ authorization: `Bearer ${A} ${B}` }, { key: undefined }],
  [{ "x-api-key": A, authorization: `Bearer ${A}` }, { key: A }],
  [{ "x-api-key": A, authorization: `Bearer ${B}` }, { ambiguous: true }],
  [{ "x-api-key": [A] }, { key: A }],
])("[K1] [K4] keyFromHeaders %j", (headers, expected) => {
  expect(keyFromHeaders(headers)).toEqual(expected);
});

test.each([
  ["/sessions/s-1/changes", "/sessions/s-1/changes"],
  [`/sessions/${A}`, `/sessions/${A}`],
  ["/admin/keys/key-0a1b2c3d4e5f/rotate", "/admin/keys/key-0a1b2c3d4e5f/rotate"],
  ["/admin/keys/config:0a1b2c3d", "/admin/keys/config:0a1b2c3d"],
  [`/admin/keys/${A}`, "/admin/keys/[key]"],
  [`/admin/keys/${A}/rotate`, "/admin/keys/[key]/rotate"],
  ["/admin/keys/key-not-an-id", "/admin/keys/[key]"],
  ["/sessions/shk_abcDEF123", "/sessions/[key]"],
  ["/x/eyJhbGciOi.eyJzdWIi.c2ln-_/y", "/x/[key]/y"],
])("[K22] the path %s is logged as %s", (path, logged) => {
  expect(withoutKeys(path)).toBe(logged);
});
