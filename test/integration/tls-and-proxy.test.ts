import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Agent, connectAgent } from "../../client/agent.ts";
import { followProject } from "../../client/follower.ts";
import type { Network } from "../../client/network.ts";
import { type NetworkOptions, nodeNetwork } from "../../client/node/network.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { runCli, startCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { ConnectProxy, TlsFront } from "../support/fronts.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";

const hubs = new Stage();
const stage = new Stage();
let hub: TestHub;
let certificates: Certificates;
let front: TlsFront;
/** The hub with TLS, under a name that is in its certificate. */
let secureUrl: string;

beforeAll(async () => {
  certificates = hubs.add(makeCertificates(["localhost", "127.0.0.1", "hub.test"]), (made) => made.remove());
  hub = await hubs.hub();
  front = await TlsFront.before(hubs, hub.port, certificates);
  secureUrl = `https://127.0.0.1:${front.port}`;
});
afterEach(stage.clear);
afterAll(hubs.clear);

/** An agent's publish, seen by a viewer, both on this way to the hub. */
async function passes(url: string, network: Network, projectId: string): Promise<void> {
  const follower = stage.add(followProject({ url, key: hub.key, projectId, network }), (one) => one.close());
  const agent = stage.add(connectAgent({ url, key: hub.key, network }), (one) => one.disconnect());
  const session = agent.open({ sessionId: "s", projectId });
  await session.publish({ kind: "session", metadata: { passed: true } });
  await follower.waitFor((one) => one.sessions.get("s")?.metadata.passed === true, { timeoutMs: 10_000 });
}

/** What the SDK says about the first failure. */
function failure(url: string, options?: NetworkOptions): Promise<string> {
  const network = options === undefined ? {} : { network: nodeNetwork(options) };
  const agent: Agent = stage.add(connectAgent({ url, key: hub.key, ...network }), (one) => one.disconnect());
  return new Promise((resolve) => {
    agent.on("state", (state) => {
      if (state.name === "waiting") resolve(state.cause.message);
    });
  });
}

const cli = (url: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runCli(args, { env: { STATE_HUB_URL: url, STATE_HUB_KEY: hub.key, ...env } });

describe("a private certificate authority", () => {
  test.each([
    ["https", () => secureUrl],
    ["wss", () => secureUrl.replace("https", "wss")],
  ])("the SDK takes it as a file or as text, for %s", async (scheme, url) => {
    await passes(url(), nodeNetwork({ ca: certificates.caFile }), `${scheme}-file`);
    await passes(url(), nodeNetwork({ ca: certificates.ca }), `${scheme}-text`);
  });

  test("it is trusted besides the authorities of Node, and only where it was given", async () => {
    expect(await failure(secureUrl)).toContain("signed by an authority that is not trusted here");
  });

  test("the command line takes it from STATE_HUB_CA or NODE_EXTRA_CA_CERTS, for REST and for connections", async () => {
    const env = { STATE_HUB_CA: certificates.caFile };
    expect(await cli(secureUrl, ["run", "-p", "private", "-s", "r", "--", "true"], env)).toMatchObject({ code: 0 });
    const extra = { NODE_EXTRA_CA_CERTS: certificates.caFile };
    const tail = await cli(secureUrl, ["tail", "private", "--last", "1", "-n", "1", "--json"], extra);
    expect(JSON.parse(tail.stdout)).toMatchObject({ id: "r", type: "ended" });
    for (const trusting of [env, extra]) {
      const got = await cli(secureUrl, ["get", "r", "-p", "private", "--json"], trusting);
      expect(JSON.parse(got.stdout)).toMatchObject({ session_id: "r", status: "COMPLETED" });
    }
  });

  test("state-hub watch follows over it", async () => {
    await passes(secureUrl, nodeNetwork({ ca: certificates.ca }), "watched");
    const env = { STATE_HUB_URL: secureUrl, STATE_HUB_KEY: hub.key, STATE_HUB_CA: certificates.caFile };
    const watch = stage.add(startCli(["watch", "watched"], { env }), (one) => one.child.kill());
    await eventually("the table", () => /● live/.test(watch.stdout()) && /working\s.*\ss\s/.test(watch.stdout()));
  });

  test("what is wrong is said with what to do", async () => {
    const untrusted =
      /signed by an authority that is not trusted here, \w+: name .* STATE_HUB_CA .* NODE_EXTRA_CA_CERTS/;
    expect(await failure(secureUrl)).toMatch(untrusted);
    const rest = await cli(secureUrl, ["sessions"]);
    expect(rest).toMatchObject({ code: 3, stderr: expect.stringMatching(untrusted) });
    const run = await cli(secureUrl, ["run", "--wait", "1s", "--", "true"]);
    expect(run).toMatchObject({ code: 0, stderr: expect.stringMatching(untrusted) });
    expect(await cli(secureUrl, ["sessions"], { STATE_HUB_CA: "/nowhere.pem" })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/STATE_HUB_CA.*\/nowhere\.pem cannot be used: ENOENT/),
    });
    expect(() => nodeNetwork({ ca: import.meta.filename })).toThrow(/it holds no PEM certificate|cannot be used/);
  });

  test("a certificate for another name, http for a TLS port, https for a plain one", async () => {
    const proxy = await ConnectProxy.start(stage, { names: { "other.test": front.port } });
    const way = { ca: certificates.ca, proxy: proxy.url };
    expect(await failure("https://other.test", way)).toMatch(/for another name, ERR_TLS_CERT_ALTNAME_INVALID/);
    const secureByMistake = `https://127.0.0.1:${hub.port}`;
    const plainByMistake = `http://127.0.0.1:${front.port}`;
    expect(await failure(secureByMistake)).toMatch(/does not speak TLS, \w+: http:\/\/ instead/);
    expect(await failure(plainByMistake)).toMatch(/does not speak plain HTTP, .*: https:\/\/ instead/);
    expect((await cli(secureByMistake, ["sessions"])).stderr).toMatch(/does not speak TLS, \w+: http:\/\/ instead/);
    expect((await cli(plainByMistake, ["sessions"])).stderr).toMatch(
      /does not speak plain HTTP, .*: https:\/\/ instead/,
    );
  });
});

describe("an HTTP proxy", () => {
  const names = () => ({ "hub.test": front.port, "plain.test": hub.port });

  test("by option: through it go https, wss, http and ws", async () => {
    const proxy = await ConnectProxy.start(stage, { names: names() });
    const network = nodeNetwork({ ca: certificates.ca, proxy: proxy.url });
    for (const url of ["https://hub.test", "wss://hub.test", "http://plain.test:81", "ws://plain.test:81"]) {
      await passes(url, network, `by-${new URL(url).protocol.slice(0, -1)}`);
    }
    expect(new Set(proxy.asked)).toEqual(new Set(["hub.test:443", "plain.test:81"]));
  });

  test("by environment, with its user and password: the command line, REST and watch", async () => {
    const proxy = await ConnectProxy.start(stage, { names: names(), login: "me:p@ss" });
    const address = proxy.url.replace("//", "//me:p%40ss@");
    const env = { HTTPS_PROXY: address, http_proxy: address, STATE_HUB_CA: certificates.caFile };
    const run = await cli("https://hub.test", ["run", "-p", "proxied", "-s", "r", "--", "true"], env);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    const watch = await cli("http://plain.test", ["watch", "proxied", "--once"], env);
    expect(watch).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining("1 finished") });
    expect(new Set(proxy.asked)).toEqual(new Set(["hub.test:443", "plain.test:80"]));
  });

  test("not for this machine, nor for what NO_PROXY names", async () => {
    const proxy = await ConnectProxy.start(stage, { names: names() });
    const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, STATE_HUB_CA: certificates.caFile };
    expect(await cli(secureUrl, ["sessions"], env)).toMatchObject({ code: 0 });
    expect(proxy.asked).toEqual([]);
    const direct = await cli("https://hub.test", ["sessions"], { ...env, NO_PROXY: "other, .test" });
    expect(direct).toMatchObject({ code: 3, stderr: expect.stringMatching(/no hub answers at https:\/\/hub\.test/) });
    expect(proxy.asked).toEqual([]);
  });

  test("its refusals are told as its own, without the password", async () => {
    const proxy = await ConnectProxy.start(stage, { names: names(), login: "me:secret" });
    const { host } = new URL(proxy.url);
    const given = { ca: certificates.ca };
    const wrong = await failure("https://hub.test", { ...given, proxy: `http://me:wrong@${host}` });
    expect(wrong).toBe(
      `no hub answers at https://hub.test (the proxy http://${host} wants a user and a password, http://user:password@proxy:port (HTTP 407))`,
    );
    proxy.refuseWith = 403;
    const refused = `the proxy http://${host} refused to connect to hub.test:443 (HTTP 403)`;
    expect(await failure("https://hub.test", { ...given, proxy: proxy.url })).toContain(refused);
    const env = { HTTPS_PROXY: proxy.url };
    expect((await cli("https://hub.test", ["sessions"], env)).stderr).toContain(refused);
    const away = await failure("https://hub.test", { proxy: "http://me:secret@127.0.0.1:1" });
    expect(away).toContain("the proxy http://127.0.0.1:1 cannot be reached (ECONNREFUSED)");
  });

  test("one that never answers is given up with the connection's own time", async () => {
    const proxy = await ConnectProxy.start(stage, { names: names() });
    proxy.refuseWith = 0;
    const network = nodeNetwork({ proxy: proxy.url });
    const agent = connectAgent({ url: "https://hub.test", key: hub.key, network, connectTimeoutMs: 300 });
    stage.add(agent, (one) => one.disconnect());
    await eventually("the next attempts", () => proxy.asked.length >= 2, 10_000);
  });

  test("an address that is none is told at once", async () => {
    expect(() => nodeNetwork({ proxy: "socks5://me:secret@proxy" })).toThrow(/^proxy: is no address of an HTTP proxy/);
    const { code, stderr } = await cli("https://hub.test", ["sessions"], { HTTPS_PROXY: "socks5://me:secret@proxy" });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/HTTPS_PROXY or HTTP_PROXY: is no address/)]);
    expect(stderr).not.toContain("secret");
  });
});
