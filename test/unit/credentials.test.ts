import { expect, test } from "vitest";
import { keyFromHeaders } from "../../server/domain/credentials.ts";

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
