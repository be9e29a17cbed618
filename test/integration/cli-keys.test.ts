import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { viewer } from "../support/wire.ts";

const hubStage = new Stage();
const stage = new Stage();
let hub: TestHub;
beforeAll(async () => {
  hub = await hubStage.hub({ overrides: { bounds: { keyUseMs: 100 } } });
});
afterEach(stage.clear);
afterAll(hubStage.clear);

const keys = (...args: string[]) =>
  runCli(["keys", ...args], { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key } });

async function newKey(...args: string[]) {
  const run = await keys("new", "--json", ...args);
  expect(run).toMatchObject({ code: 0, stderr: "" });
  return JSON.parse(run.stdout);
}

describe("state-hub keys", () => {
  test("[K16] new shows the key alone on stdout, what it is on stderr", async () => {
    const args = ["new", "--role", "agent", "--projects", "web,acme-*", "--name", "night shift", "--expires", "30d"];
    const { code, stdout, stderr } = await keys(...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^shk_[0-9A-Za-z]{38}\n$/);
    expect(stderr).toMatch(/key key-[0-9a-f]{12}: agent of acme-\*, web, until \d{4}-/);
    expect(stderr).not.toContain(stdout.trim());
    expect((await rest({ url: hub.url, key: stdout.trim() }, "GET /sessions")).status).toBe(200);
  });

  test("[K16] new --json; list --json; revoke", async () => {
    const made = await newKey("--role", "viewer", "--projects", "web", "--expires", "2099-01-31T00:00:00Z");
    expect(made).toMatchObject({
      id: expect.any(String),
      key: expect.any(String),
      expires_at: "2099-01-31T00:00:00.000Z",
    });
    const wire = await viewer(stage, { url: hub.url, key: made.key });
    await eventually("its connection is listed", async () => {
      const listed = JSON.parse((await keys("list", "--json")).stdout);
      return listed.items.find(({ id }: { id: string }) => id === made.id)?.connections === 1;
    });
    const list = await keys("list");
    expect(list.stdout).toMatch(
      new RegExp(
        `${made.id} +${made.fingerprint} +${made.prefix}… +viewer +web +until 2099-01-31T00:00Z +.* ago +1 on `,
      ),
    );
    expect(list.stdout).toContain("(configured)");
    expect(list.stdout).not.toContain(made.key);
    expect((await keys("revoke", made.id)).stdout).toBe(`revoked ${made.id}\n`);
    await wire.hears("closing");
    expect((await keys("list")).stdout).not.toContain(made.id);
    expect((await keys("list", "--all")).stdout).toMatch(new RegExp(`${made.id} .* revoked `));
  });

  test("[K20] rotate shows the new key and keeps the old one for the overlap", async () => {
    const old = await newKey("--role", "agent", "--projects", "web");
    const run = await keys("rotate", old.id, "--overlap", "1h", "--json");
    const next = JSON.parse(run.stdout);
    expect(next).toMatchObject({ role: "agent", projects: ["web"] });
    for (const key of [old.key, next.key])
      expect((await rest({ url: hub.url, key }, "GET /sessions")).status).toBe(200);
    expect((await keys("list")).stdout).toMatch(new RegExp(`${old.id} .* replaced, until `));
  });

  test.each([
    [["new", "--projects", "web"], 2, /required option.*--role/],
    [["new", "--role", "root"], 2, /Allowed choices are agent, viewer, operator/],
    [["new", "--role", "agent"], 1, /field projects is required for this role/],
    [["new", "--role", "agent", "--projects", "a*"], 1, /must be a project id, a prefix such as "acme-\*"/],
    [["new", "--role", "agent", "--projects", "a", "--expires", "soon"], 2, /It looks like/],
    [["rotate", "key-000000000000"], 2, /required option.*--overlap/],
    [["rotate", "key-000000000000", "--overlap", "1h"], 1, /no managed key has this id/],
    [["revoke", "key-000000000000"], 1, /no managed key has this id/],
    [["revoke", "config:0a1b2c3d"], 2, /API_KEYS or API_KEYS_FILE/],
  ])("%j says what is wrong", async (args, code, message) => {
    const run = await keys(...args);
    expect(run.code).toBe(code);
    expect(run.stderr).toMatch(message);
  });

  test("[K11] a key that is pasted for its id goes nowhere, and is not printed", async () => {
    const { key } = await newKey("--role", "agent", "--projects", "web");
    const run = await keys("revoke", key);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringMatching(/the id that `state-hub keys list` shows/) });
    expect((await rest({ url: hub.url, key }, "GET /sessions")).status).toBe(200);
  });

  test("[K7] with another key than an operator's the hub says no", async () => {
    const { key } = await newKey("--role", "agent", "--projects", "web");
    const run = await runCli(["keys", "list"], { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: key } });
    expect(run).toMatchObject({ code: 1, stderr: expect.stringMatching(/Not Authorized/) });
  });
});
