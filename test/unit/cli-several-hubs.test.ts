import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { findHubAddress, findOneHub, hubAddress } from "../../cli/hub-address.ts";
import { askHub } from "../../cli/rest.ts";
import { HubRotation } from "../../client/hub-rotation.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

/** A server that answers REST in its own way; how often it was asked. */
async function server(listener: RequestListener): Promise<{ readonly url: string; count: number }> {
  const http = createServer((request, response) => {
    seen.count += 1;
    request.resume().once("end", () => listener(request, response));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  stage.add(http, (one) => one.close());
  const seen = { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, count: 0 };
  return seen;
}

const good = () => server((_request, response) => response.end('{"good": true}'));
const refusing = (code: string, headers = {}) =>
  server((_request, response) => {
    response.writeHead(code === "RATE_LIMITED" ? 429 : 503, headers).end(JSON.stringify({ code, detail: code }));
  });
const cutting = () => server((request) => request.socket.destroy());
const GONE = "http://127.0.0.1:1";

/** In this order. */
function hubs(...urls: string[]) {
  const clock = new FakeClock();
  return { ...hubAddress(urls, "k"), rotation: new HubRotation(urls, clock) };
}

const read = { path: "/sessions" };
const write = { path: "/sessions/s", method: "PATCH", body: { status: "IDLE" } } as const;

describe("REST with several hubs", () => {
  test.each([
    ["a read", read],
    ["a change", write],
  ])("%s passes over a hub that is not there, and one that says that it did nothing", async (_name, request) => {
    const live = await good();
    expect(await askHub(hubs(GONE, live.url), request)).toEqual({ good: true });
    for (const code of ["DRAINING", "OVERLOADED"]) {
      const busy = await refusing(code);
      expect(await askHub(hubs(busy.url, live.url), request)).toEqual({ good: true });
      expect(busy.count).toBe(1);
    }
  });

  test.each([
    ["whose connection broke", cutting, /no hub answers at .* \((ECONNRESET|socket hang up|what listens there)/],
    ["with an unknown outcome", () => refusing("UNAVAILABLE"), /UNAVAILABLE/],
  ])("a change %s is not made at another hub, a read is", async (_name, make, text) => {
    const [failing, live] = [await make(), await good()];
    await expect(askHub(hubs(failing.url, live.url), write)).rejects.toThrow(text);
    expect(live.count).toBe(0);
    expect(await askHub(hubs(failing.url, live.url), read)).toEqual({ good: true });
  });

  test("with time to wait a change is made again, elsewhere too", async () => {
    const [failing, live] = [await cutting(), await good()];
    expect(await askHub(hubs(failing.url, live.url), { ...write, waitMs: 2_000 })).toEqual({ good: true });
  });

  test("a rate that is exceeded is not taken to the next hub", async () => {
    const [busy, live] = [await refusing("RATE_LIMITED"), await good()];
    await expect(askHub(hubs(busy.url, live.url), read)).rejects.toThrow("RATE_LIMITED");
    expect(live.count).toBe(0);
  });

  test("with none there it says so, and which", async () => {
    const [one, other] = [GONE, "http://127.0.0.1:2"];
    await expect(askHub(hubs(one, other), read)).rejects.toThrow(
      /no hub answers at \S+ \(ECONNREFUSED\), the last of http:\/\/127.0.0.1:1,http:\/\/127.0.0.1:2\. Start one/,
    );
  });
});

describe("addresses of the command line", () => {
  const env = { XDG_CONFIG_HOME: "/dev/null" };

  test("come with commas from --url or STATE_HUB_URL", () => {
    const list = "http://a:1/, https://b,http://a:1";
    expect(findHubAddress(list, env).url).toBe("http://a:1,https://b");
    expect(findHubAddress(undefined, { ...env, STATE_HUB_URL: list }).url).toBe("http://a:1,https://b");
  });

  test("what is done to one hub wants one", () => {
    expect(findOneHub("http://a", env).url).toBe("http://a");
    expect(() => findOneHub("http://a,http://b", env)).toThrow(
      "this is for one hub, and http://a,http://b are several",
    );
  });

  test("each of them is checked", () => {
    expect(() => findHubAddress("http://a,nonsense", env)).toThrow('"nonsense" is no hub\'s address');
    expect(() => findHubAddress("http://a,", env)).toThrow('"" is no hub\'s address');
  });
});
