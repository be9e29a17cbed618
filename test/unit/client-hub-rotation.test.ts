import { describe, expect, test } from "vitest";
import { HubRotation } from "../../client/hub-rotation.ts";
import { hubUrls } from "../../client/hub-urls.ts";
import { FakeClock } from "../support/fake-clock.ts";

const URLS = ["http://a", "http://b", "http://c"];

function start(urls = URLS) {
  const clock = new FakeClock();
  return { clock, hubs: new HubRotation(urls, clock) };
}

/** The hubs that come next, with the pause before each, while everything fails. */
function failures({ hubs, clock }: ReturnType<typeof start>, count: number) {
  return Array.from({ length: count }, () => {
    const pause = hubs.next();
    clock.advance(pause);
    return [hubs.url, pause];
  });
}

describe("several hubs", () => {
  test("[H14] what fails is followed by the next at once; between rounds the pause grows to its cap", () => {
    const all = start();
    all.clock.chance = 0.999;
    const first = all.hubs.url;
    const seen = failures(all, 12);
    expect(new Set([first, ...seen.slice(0, 2).map(([url]) => url)])).toEqual(new Set(URLS));
    const pauses = seen.map(([, pause]) => pause as number);
    expect(pauses.filter((_, index) => index % 3 !== 2)).toEqual(Array(8).fill(0));
    const between = pauses.filter((_, index) => index % 3 === 2);
    expect(between.map((pause) => Math.ceil(pause / 1_000))).toEqual([1, 2, 4, 5]);
  });

  test("[H14] start in an order of their own for every client", () => {
    const clock = new FakeClock();
    const firsts = Array.from({ length: 300 }, (_, index) => {
      clock.chance = index / 300;
      return new HubRotation(URLS, clock).url;
    });
    for (const url of URLS) expect(firsts.filter((first) => first === url)).toHaveLength(100);
  });

  test("[E3] one that asked for a pause is left alone for so long, and the others are tried meanwhile", () => {
    const all = start(["http://a", "http://b"]);
    const asked = all.hubs.url;
    expect(all.hubs.next(10_000)).toBe(0);
    const other = all.hubs.url;
    expect(other).not.toBe(asked);
    let elapsed = 0;
    while (all.hubs.url === other) {
      const pause = all.hubs.next();
      all.clock.advance(pause);
      elapsed += pause;
      if (all.hubs.url === other) expect(pause).toBeGreaterThan(0);
    }
    expect(elapsed).toBeGreaterThanOrEqual(10_000);
    expect(elapsed).toBeLessThan(10_200);
  });

  test("[E3] all of them asked: the one whose pause ends first is next, then", () => {
    const { hubs } = start(["http://a", "http://b"]);
    hubs.next(9_000);
    const sooner = hubs.url;
    expect(hubs.next(2_000)).toBe(2_000);
    expect(hubs.url).toBe(sooner);
  });

  test("one hub: a pause after every failure, the asked one exactly", () => {
    const { hubs, clock } = start(["http://a"]);
    clock.chance = 0.999;
    expect([hubs.next(), hubs.next(300), hubs.next(0)].map((pause) => Math.ceil(pause / 100))).toEqual([10, 4, 0]);
  });

  test("a link that held begins anew; hubs that accept and drop at once are not asked in a loop", () => {
    const all = start(["http://a", "http://b"]);
    const accepted = (heldMs: number) => {
      all.hubs.ready();
      all.clock.advance(heldMs);
      return all.hubs.next();
    };
    expect([accepted(10), accepted(10), accepted(10), accepted(10)].map((pause) => pause > 0)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect([accepted(2_000), accepted(2_000), accepted(2_000)]).toEqual([0, 0, 0]);
  });
});

describe("addresses of hubs", () => {
  test("come as one, as a list, or with commas, each once", () => {
    expect(hubUrls("http://a")).toEqual(["http://a"]);
    expect(hubUrls("http://a, https://b:1,http://a")).toEqual(["http://a", "https://b:1"]);
    expect(hubUrls(["http://a", "wss://b,http://c"])).toEqual(["http://a", "wss://b", "http://c"]);
  });

  test.each([
    ["", "names no hub"],
    [[], "names no hub"],
    ["http://a,nonsense", '"nonsense" is no URL'],
    [["http://a", "ftp://b"], "not ftp:"],
    ["http://a,http://user:pw@b", "must not hold a user"],
  ])("that can never work are told at once: %j", (urls, text) => {
    expect(() => hubUrls(urls)).toThrow(text);
  });
});
