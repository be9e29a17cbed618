import { expect, test } from "vitest";
import { hubsUp, statusCsv } from "../../scripts/cluster/balancer-status.ts";
import { type Fleet, type Restarted, rollingRestart } from "../../scripts/cluster/rolling-restart.ts";

const BOUNDS = { wholeMs: 200, stopMs: 200, readyMs: 200, rotationMs: 200 };

interface FakeHub {
  readonly name: string;
  pid: number | undefined;
  isReady: boolean;
  isUp: boolean;
}

/** Hubs that do everything a moment later, but for what a test says they do not do. */
class FakeFleet implements Fleet {
  readonly all: FakeHub[] = ["a", "b", "c"].map((name, index) => ({ name, pid: index + 1, isReady: true, isUp: true }));
  readonly log: string[] = [];
  fails: { readonly name: string; readonly at: "stop" | "start" | "readiness" | "rotation" } | undefined;

  hubs = () => this.all;
  isReady = async (name: string) => this.#hub(name).isReady;
  inRotation = async () => new Set(this.all.filter(({ isUp }) => isUp).map(({ name }) => name));

  terminate = ({ name }: { readonly name: string }) => {
    const hub = this.#hub(name);
    this.log.push(`stop ${name}, others ${this.all.filter(({ isReady, isUp }) => isReady && isUp).length - 1}`);
    const fails = (at: string) => this.fails?.name === name && this.fails.at === at;
    Object.assign(hub, { isReady: false, isUp: false });
    if (fails("stop")) return;
    setTimeout(() => {
      const former = hub.pid ?? 0;
      hub.pid = undefined;
      if (!fails("start")) setTimeout(() => Object.assign(hub, { pid: former + 10, isReady: !fails("readiness") }), 5);
      if (!fails("rotation")) setTimeout(() => Object.assign(hub, { isUp: true }), 80);
    }, 5);
  };

  #hub(name: string): FakeHub {
    return this.all.find((hub) => hub.name === name) as FakeHub;
  }
}

test("one hub after the other, each when all the others serve", async () => {
  const fleet = new FakeFleet();
  const restarted: Restarted[] = [];
  await rollingRestart(fleet, (hub) => restarted.push(hub), ["a", "b", "c"], BOUNDS);
  expect(fleet.log).toEqual(["stop a, others 2", "stop b, others 2", "stop c, others 2"]);
  expect(restarted.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  expect(fleet.all.map(({ pid }) => pid)).toEqual([11, 12, 13]);
});

test.each([
  ["stop", /0\.2 s until b \(pid 2\) ends/],
  ["start", /until b is started again and ready/],
  ["readiness", /until b is started again and ready/],
  ["rotation", /until the balancer sends connections to b/],
] as const)("a hub that fails at its %s ends the whole, and the next one is left alone", async (at, message) => {
  const fleet = new FakeFleet();
  fleet.fails = { name: "b", at };
  await expect(rollingRestart(fleet, () => {}, ["a", "b", "c"], BOUNDS)).rejects.toThrow(message);
  expect(fleet.log).toEqual(["stop a, others 2", "stop b, others 2"]);
});

test("no hub is touched while another one is not ready or not in rotation", async () => {
  for (const trouble of [{ isReady: false }, { isUp: false }]) {
    const fleet = new FakeFleet();
    Object.assign(fleet.all[2] as FakeHub, trouble);
    await expect(rollingRestart(fleet, () => {}, ["a"], BOUNDS)).rejects.toThrow("before a is stopped");
    expect(fleet.log).toEqual([]);
  }
});

test("what the balancer says is read from haproxy's columns, wherever they are", () => {
  const csv = [
    "# pxname,svname,qcur,status,weight,",
    "clients,FRONTEND,,OPEN,,",
    "hubs,hub-1,0,UP,1,",
    "hubs,hub-2,0,DOWN 1/2,1,",
    "hubs,hub-3,0,UP 1/3,1,",
    "hubs,BACKEND,0,UP,2,",
    "",
  ].join("\n");
  expect(hubsUp(csv)).toEqual(new Set(["hub-1", "hub-3"]));
  expect(
    hubsUp(
      statusCsv([
        { name: "x", isUp: true },
        { name: "y", isUp: false },
      ]),
    ),
  ).toEqual(new Set(["x"]));
  expect(hubsUp("<html>not a table</html>")).toEqual(new Set());
});
