import { expect, test } from "vitest";
import { explainTrouble } from "../../server/redis/explain-trouble.ts";

const failure = (message: string, code?: string) =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

test.each<[string, Error, string]>([
  ["in its own words", failure("WRONGPASS invalid username"), "WRONGPASS invalid username"],
  ["by its code, without words", failure("", "ECONNREFUSED"), "ECONNREFUSED"],
  [
    "too old, or a Sentinel",
    failure("ERR unknown command 'ssubscribe'"),
    "7.0 or newer is needed, or it is a Sentinel",
  ],
  ["in cluster mode, elsewhere", failure("MOVED 12 10.0.0.1:6379"), "cluster mode"],
  ["in cluster mode, several slots", failure("CROSSSLOT Keys in request don't hash to the same slot"), "cluster mode"],
  ["in cluster mode, not set up", failure("CLUSTERDOWN Hash slot not served"), "cluster mode"],
  ["not trusted", failure("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"), "NODE_EXTRA_CA_CERTS"],
  ["not trusted, by its CA", failure("unable to verify", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "NODE_EXTRA_CA_CERTS"],
])("[D20] a Redis that is %s", (_, error, told) => {
  expect(explainTrouble(error)).toContain(told);
  expect(explainTrouble(error)).toContain(error.message);
});

test("[K11] the arguments of a login are not repeated", () => {
  const told = explainTrouble(failure("ERR unknown command 'HELLO', with args beginning with: 3 AUTH default secret"));
  expect(told).not.toContain("secret");
});
