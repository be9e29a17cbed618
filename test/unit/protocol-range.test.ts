import { describe, expect, test } from "vitest";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { authenticate } from "../../server/realtime/handshake.ts";
import { PROTOCOL_VERSION, protocolFor, spokenBy } from "../../shared/protocol.ts";

const KEY = "3f0e3a0e-6d5b-4b9e-9a51-0f8f3c1d2b7a";
const OPERATOR = { role: "operator", scope: ProjectScope.all, keyId: "k", fingerprint: "f" } as const;
const keys = { identify: (key: string | undefined) => (key === KEY ? OPERATOR : undefined) };

/** What a hub of that version makes of a client that asks for a protocol, or for none. */
function greet(newest: number, protocol: number | undefined) {
  const auth = protocol === undefined ? { key: KEY } : { key: KEY, protocol };
  return authenticate({ auth, headers: {}, query: {} }, keys, "/viewers", spokenBy(newest));
}

describe("[X1] a hub speaks its own protocol and the one before", () => {
  test.each([
    { newest: 1, oldest: 1 },
    { newest: 2, oldest: 1 },
    { newest: 3, oldest: 2 },
    { newest: 10, oldest: 9 },
  ])("version $newest: from $oldest on, and no other", async ({ newest, oldest }) => {
    for (let asked = 0; asked <= newest + 2; asked++) {
      const isSpoken = asked >= oldest && asked <= newest;
      expect(protocolFor(asked, spokenBy(newest))).toBe(isSpoken ? asked : undefined);
      const peer = await greet(newest, asked);
      if (isSpoken) expect(peer).toMatchObject({ protocol: asked });
      else expect(peer).toMatchObject({ code: "VALIDATION" });
    }
  });

  test("neighbouring releases understand each other's clients, whichever is newer", async () => {
    for (const newest of [1, 2, 3]) expect(await greet(newest + 1, newest)).toMatchObject({ protocol: newest });
  });

  test("a client that does not say speaks 1", async () => {
    expect(await greet(1, undefined)).toMatchObject({ protocol: 1 });
    expect(await greet(2, undefined)).toMatchObject({ protocol: 1 });
    expect(await greet(3, undefined)).toMatchObject({
      message: "field protocol is not said, so 1, this hub speaks 2 and 3",
    });
  });

  test("[H5] a refusal names what was asked for and what is spoken", async () => {
    expect(await greet(3, 1)).toMatchObject({ message: "field protocol is 1, this hub speaks 2 and 3" });
    expect(await greet(PROTOCOL_VERSION, 99)).toMatchObject({ message: `field protocol is 99, this hub speaks 1` });
  });
});
