import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Agent } from "../../client/agent.ts";
import type { AgentEvents } from "../../client/agent-types.ts";
import { lockFile } from "../../client/node/file-lock.ts";
import { FileSpool } from "../../client/node/file-spool.ts";
import { openSpool } from "../../client/node/spool.ts";
import { lineOf, MAGIC, readSpool } from "../../client/node/spool-lines.ts";
import type { Spool, SpoolRecord } from "../../client/spool.ts";
import { SpoolState } from "../../client/spool-state.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { CrashingFile } from "../support/crashing-file.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeTransport, refusal } from "../support/fake-link.ts";
import { Random } from "../support/random.ts";

let folder: string;
let file: string;
const opened: Spool[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "state-hub-spool-"));
  file = join(folder, "agent.spool");
});

afterEach(() => {
  for (const spool of opened.splice(0)) spool.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(): Spool {
  const spool = openSpool({ file });
  opened.push(spool);
  return spool;
}

const spec = (session_id: string) => ({ session_id, machine_id: "m" });
const edit = (value: number): Edit => ({ kind: "session", metadata: { value } });
const taken = (id: number, session = "s"): SpoolRecord => ({
  type: "taken",
  session,
  id,
  content: { kind: "publish", edits: [edit(id)] },
  alone: false,
  latest: false,
});

const RECORDS: SpoolRecord[] = [
  { type: "agent", agent_id: "a" },
  { type: "session", spec: spec("s") },
  { type: "owned", session: "s", incarnation: 3, token: "secret" },
  taken(1),
  taken(2),
  taken(3),
  { type: "sent", session: "s", op: 7, entries: 2, content: { kind: "publish", edits: [edit(12)] } },
];

describe("spool file", () => {
  test("gives another process what this one has taken, proof and publish under way included", () => {
    const spool = open();
    for (const record of RECORDS) spool.append(record);
    spool.close();
    const { agentId, sessions } = open();
    expect([agentId, [...sessions.keys()]]).toEqual(["a", ["s"]]);
    const session = sessions.get("s");
    expect(session).toMatchObject({ spec: spec("s"), proof: { incarnation: 3, token: "secret" } });
    expect(session?.inFlight).toMatchObject({ op: 7, content: { edits: [edit(12)] }, entries: [{ id: 1 }, { id: 2 }] });
    expect([...(session?.queue.keys() ?? [])]).toEqual([3]);
  });

  test("is readable for its owner alone, and makes its folder", () => {
    file = join(folder, "deep", "er", "agent.spool");
    open();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "deep")).mode & 0o077).toBe(0);
  });

  test("a last line that was cut off, at any byte, is as if it had not been written", () => {
    const whole = MAGIC + RECORDS.map(lineOf).join("");
    for (let bytes = 0; bytes < whole.length; bytes++) {
      const { state, goodBytes } = readSpool(Buffer.from(whole).subarray(0, bytes), "f");
      const lines = whole.slice(0, bytes).split("\n").length - 2;
      const expected = new SpoolState();
      for (const record of RECORDS.slice(0, Math.max(0, lines))) expected.apply(record);
      expect([...state.records()]).toEqual([...expected.records()]);
      expect(whole.slice(0, goodBytes)).toMatch(/^$|\n$/);
    }
  });

  test("a tail of zeros, as the end of a machine leaves it, is cut off too", () => {
    writeFileSync(file, Buffer.concat([Buffer.from(MAGIC + lineOf(RECORDS[0] as SpoolRecord)), Buffer.alloc(4_096)]));
    const spool = open();
    spool.append(RECORDS[1] as SpoolRecord);
    spool.close();
    expect([...open().sessions.keys()]).toEqual(["s"]);
  });

  test.each<[string, string, RegExp]>([
    ["damage in the middle", MAGIC + RECORDS.map(lineOf).join("").replace("secret", "Secret"), /damaged in line 4/],
    ["another kind of file", "precious letters\n", /is no spool; choose another file/],
    ["a later version", "state-hub-spool 2\nx\n", /is of another version/],
    ["lines that contradict each other", MAGIC + lineOf(taken(1)), /makes no sense in line 2: session s is not there/],
  ])("%s is told and left as it is, and the lock is free again", (_, text, message) => {
    writeFileSync(file, text);
    expect(() => open()).toThrow(
      expect.objectContaining({ code: "SPOOL_UNREADABLE", message: expect.stringMatching(message) }),
    );
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  test("any state written anew is the same state (seeds 0 to 49)", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed);
      const state = new SpoolState();
      const under = new Map<string, { waiting: number; sent: boolean }>();
      for (let id = 1; id < 60; id++) {
        const session = random.pick(["s1", "s2"]);
        const one = under.get(session);
        if (one === undefined) state.apply({ type: "session", spec: spec(session) });
        const now = one ?? { waiting: 0, sent: false };
        under.set(session, now);
        if (random.chance(0.1)) state.apply({ type: "owned", session, incarnation: id, token: "t" });
        if (random.chance(0.6)) {
          state.apply(taken(id, session));
          now.waiting += 1;
        } else if (now.sent) {
          const entries = state.sessions.get(session)?.inFlight?.entries.length ?? 0;
          const isReturned = random.chance(0.3);
          state.apply({ type: isReturned ? "returned" : "answered", session });
          if (isReturned) now.waiting += entries;
          now.sent = false;
        } else if (now.waiting > 0) {
          const entries = random.integer(1, now.waiting);
          const content = { kind: "publish" as const, edits: [edit(id)] };
          state.apply({ type: "sent", session, op: id, entries, ...(entries > 1 ? { content } : {}) });
          now.waiting -= entries;
          now.sent = true;
        }
      }
      const again = new SpoolState();
      for (const record of state.records()) again.apply(record);
      expect([...again.sessions], `seed ${seed}`).toEqual([...state.sessions]);
    }
  });

  test("stays small however long the agent runs", () => {
    const spool = open();
    spool.append({ type: "session", spec: spec("s") });
    for (let op = 1; op <= 3_000; op++) {
      spool.append(taken(op));
      spool.append({ type: "sent", session: "s", op, entries: 1 });
      spool.append({ type: "answered", session: "s" });
    }
    expect(statSync(file).size).toBeLessThan(300 * 1024);
    spool.append(taken(4_000));
    spool.close();
    expect([...(open().sessions.get("s")?.queue.keys() ?? [])]).toEqual([4_000]);
    expect(readdirSync(folder).sort()).toEqual(["agent.spool", "agent.spool.lock"]);
  });

  test("forgets sessions for which nothing waits, the oldest first, beyond 200", () => {
    const spool = open();
    for (let n = 0; n < 250; n++) spool.append({ type: "session", spec: spec(`s${n}`) });
    spool.append(taken(1, "s0"));
    spool.close();
    const { sessions } = open();
    expect([sessions.size, sessions.has("s0"), sessions.has("s1"), sessions.has("s249")]).toEqual([
      201,
      true,
      false,
      true,
    ]);
  });
});

describe("agent on a spool", () => {
  test("a listener that publishes in return waits for its turn, in the spool too", () => {
    const transport = new FakeTransport();
    const agent = new Agent({ url: "http://h", key: "k", spool: open() }, transport.connect, new FakeClock());
    const session = agent.open({ sessionId: "s" });
    session.once("error", () => session.publish(edit(2)));
    transport.link.accept();
    openAs(transport);
    session.publish(edit(1));
    transport.link.last("changes:publish").answer?.(refusal("VERSION_CONFLICT"));
    expect(transport.link.last("changes:publish").payload.changes).toEqual([edit(2)]);
    agent.disconnect();
    expect(open().sessions.get("s")?.inFlight).toMatchObject({ entries: [{ id: 2 }] });
  });
});

describe("spool on a full disk", () => {
  function spoolOn(disk: CrashingFile): FileSpool {
    const parts = { name: "f", isHeld: () => true, keepUndelivered: () => undefined, release: () => {} };
    return new FileSpool({ ...parts, file: disk, compactBytes: 1_000_000 });
  }

  test("takes nothing more, goes on with what it has, and is whole again when there is room", () => {
    const disk = new CrashingFile();
    const spool = spoolOn(disk);
    for (const record of RECORDS) spool.append(record);
    disk.isFull = true;
    expect(() => spool.append(taken(4))).toThrow(expect.objectContaining({ code: "SPOOL_FAILED", retryable: true }));
    expect(() => spool.append({ type: "answered", session: "s" })).toThrow(/ENOSPC/);
    disk.isFull = false;
    spool.append(taken(5));
    const left = spoolOn(disk).sessions.get("s");
    expect([left?.inFlight, [...(left?.queue.keys() ?? [])]]).toEqual([undefined, [3, 5]]);
  });

  test("the agent refuses what it cannot keep, delivers what it has, and tells the trouble once", async () => {
    const disk = new CrashingFile();
    const transport = new FakeTransport();
    const agent = new Agent({ url: "http://h", key: "k", spool: spoolOn(disk) }, transport.connect, new FakeClock());
    const troubles: string[] = [];
    agent.on("error", ({ code }) => troubles.push(code));
    const session = agent.open({ sessionId: "s" });
    const first = session.publish(edit(1));
    disk.isFull = true;
    await expect(session.publish(edit(2))).rejects.toMatchObject({ code: "SPOOL_FAILED" });
    expect(() => agent.open({ sessionId: "s2" })).toThrow(/ENOSPC/);
    transport.link.accept();
    openAs(transport);
    transport.link.last("changes:publish").answer?.({ ok: true, epoch: "e", seq: 2, results: [] });
    expect(await first).toMatchObject({ seq: 2 });
    expect(troubles).toEqual(["SPOOL_FAILED"]);
    agent.disconnect();
  });
});

function openAs(transport: FakeTransport, extra: object = {}): void {
  const { payload, answer } = transport.link.last("session:open");
  const session = { session_id: payload.session_id, status: "ACTIVE", metadata: {}, version: 1 };
  const lease = { interval_ms: 5_000, ttl_ms: 15_000 };
  answer?.({
    ok: true,
    session,
    created: false,
    resumed: true,
    incarnation: 3,
    token: "secret",
    last_op: 6,
    epoch: "e",
    seq: 1,
    lease,
    ...extra,
  });
}

describe("agent that comes back with a spool", () => {
  function comeBack(records: readonly SpoolRecord[] = RECORDS) {
    const before = open();
    for (const record of records) before.append(record);
    before.close();
    const transport = new FakeTransport();
    const clock = new FakeClock();
    const spool = open();
    const agent = new Agent({ url: "http://h", key: "k", agentId: "a", spool }, transport.connect, clock);
    const told: AgentEvents["undelivered"][] = [];
    agent.on("undelivered", (undelivered) => told.push(undelivered));
    return { agent, clock, transport, told };
  }

  test("[D9] proves itself, sends the very same op and content, then the rest", async () => {
    const { agent, transport } = comeBack();
    expect(agent.outbox.publishes).toBe(3);
    transport.link.accept();
    expect(transport.link.last("session:open").payload).toMatchObject({ incarnation: 3, token: "secret" });
    openAs(transport);
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 7, changes: [edit(12)] });
    transport.link.last("changes:publish").answer?.({ ok: true, epoch: "e", seq: 2, results: [], duplicate: true });
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 8, changes: [edit(3)] });
    transport.link.last("changes:publish").answer?.({ ok: true, epoch: "e", seq: 3, results: [] });
    await agent.close();
    const left = open().sessions.get("s");
    expect(left).toMatchObject({ proof: { token: "secret" }, inFlight: undefined });
    expect(left?.queue.size).toBe(0);
  });

  test("nobody vouches for a session that its program has not opened again; opened, it is the same one", () => {
    const { agent, clock, transport } = comeBack();
    transport.link.accept();
    openAs(transport);
    clock.advance(15_000);
    expect(transport.link.all("heartbeat")).toEqual([]);
    const session = agent.open({ sessionId: "s" });
    expect(session).toBe(agent.sessions.get("s"));
    expect(transport.link.all("session:open")).toHaveLength(1);
    clock.advance(0);
    expect(transport.link.last("heartbeat").payload.sessions).toMatchObject([{ session_id: "s", incarnation: 3 }]);
    session.publish(edit(9), { alone: true });
    expect(session.undelivered).toBe(4);
    for (let seen = 0; seen < transport.link.all("changes:publish").length; seen++) {
      transport.link.last("changes:publish").answer?.({ ok: true, epoch: "e", seq: 2, results: [] });
    }
    transport.link.cut();
    clock.advance(1_000);
    transport.link.accept();
    expect(transport.link.all("session:open")).toHaveLength(1);
    expect(() => agent.open({ sessionId: "s" })).toThrow(/open in this agent already/);
  });

  test("a session for which nothing waits is not opened before its program does", () => {
    const { agent, transport } = comeBack(RECORDS.slice(0, 3));
    transport.link.accept();
    expect([agent.state.name, transport.link.all("session:open")]).toEqual(["ready", []]);
    agent.open({ sessionId: "s" });
    expect(transport.link.last("session:open").payload).toMatchObject({ token: "secret" });
  });

  test("an end that waits is delivered, and the session is not taken up again", () => {
    const close: SpoolRecord = {
      ...(taken(4) as SpoolRecord & { type: "taken" }),
      content: { kind: "close", status: "FAILED" },
      alone: true,
    };
    const { agent, transport } = comeBack([...RECORDS.slice(0, 3), close]);
    expect(() => agent.open({ sessionId: "s" })).toThrow(/waits for its end to be delivered/);
    transport.link.accept();
    openAs(transport);
    transport.link.last("session:close").answer?.({ ok: true, epoch: "e", seq: 2, results: [] });
    expect(agent.sessions.size).toBe(0);
  });

  test("[N3] taken by another agent meanwhile: told, kept for people, and gone from the spool", () => {
    const { agent, transport, told } = comeBack();
    transport.link.accept();
    transport.link.last("session:open").answer?.(refusal("ALREADY_OWNED"));
    // The op that was under way may have been applied: the hub answers it even now.
    expect(transport.link.last("changes:publish").payload.op).toBe(7);
    transport.link.last("changes:publish").answer?.(refusal("FENCED"));
    expect(told.map(({ sessionId, error, keptIn }) => [sessionId, error.code, keptIn])).toEqual(
      Array(3).fill(["s", "FENCED", `${file}.undelivered`]),
    );
    const lines = readFileSync(`${file}.undelivered`, "utf8").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).edits[0].metadata.value)).toEqual([1, 2, 3]);
    expect(statSync(`${file}.undelivered`).mode & 0o777).toBe(0o600);
    agent.disconnect();
    expect(open().sessions.size).toBe(0);
  });

  test("what the agent's own end leaves waiting is not undelivered: the next one has it", async () => {
    const { agent, told } = comeBack();
    const answer = agent.open({ sessionId: "s" }).publish(edit(4));
    const closed = agent.close({ timeoutMs: 0 });
    agent.disconnect();
    await expect(closed).rejects.toMatchObject({
      details: { undelivered: 4, kept: true, sessions: [{ session_id: "s", undelivered: 4 }] },
      message: expect.stringContaining(`they stay in ${file}`),
    });
    await expect(answer).rejects.toMatchObject({ details: { kept: true } });
    expect(told).toEqual([]);
    expect(open().sessions.get("s")?.queue.size).toBe(2);
  });

  test("a spool that lost its end with the machine: an op that the hub has left behind counts as applied", () => {
    const { transport, told } = comeBack();
    transport.link.accept();
    openAs(transport, { last_op: 9 });
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 10, changes: [edit(3)] });
    expect(told).toEqual([]);
  });

  test("is who it was: the agent's id comes from the spool", () => {
    open().append({ type: "agent", agent_id: "agent-of-old" });
    opened.pop()?.close();
    expect(open().agentId).toBe("agent-of-old");
  });
});

describe("spool lock", () => {
  const lock = () => `${file}.lock`;
  const owner = (change: object) => {
    open();
    const mine = JSON.parse(readFileSync(lock(), "utf8"));
    opened.pop()?.close();
    writeFileSync(lock(), JSON.stringify({ ...mine, id: "other", ...change }));
  };

  test("a second opener, in this process or another, is told who has it", async () => {
    open();
    expect(() => open()).toThrow(expect.objectContaining({ code: "SPOOL_LOCKED" }));
    expect(() => open()).toThrow(new RegExp(`process ${process.pid} has it open`));
    const { child, said } = holder();
    await once(child, "exit");
    expect(said()).toContain("SPOOL_LOCKED");
  });

  test("kill -9 of the owner leaves nothing to wait for", async () => {
    const { child, said, holds } = holder();
    await holds();
    expect(() => open(), said()).toThrow(/has it open/);
    child.kill("SIGKILL");
    await once(child, "exit");
    open();
  });

  test.each([
    ["ended", { pid: 0x3fffffff }],
    ["ended, and its pid is another process's now", { started: "1" }],
    ["ended on a machine or in a container of its own", { space: `${hostname()} elsewhere` }],
  ])("an owner that has %s is followed", (_, change) => {
    owner(change);
    const long = new Date(Date.now() - 60_000);
    utimesSync(lock(), long, long);
    open();
    expect(JSON.parse(readFileSync(lock(), "utf8"))).toMatchObject({ pid: process.pid });
    expect(readdirSync(folder).sort()).toEqual(["agent.spool", "agent.spool.lock"]);
  });

  test("an owner that stood still finds out that it was followed, and leaves the other's lock alone", () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    try {
      const held = lockFile(lock());
      writeFileSync(lock(), JSON.stringify({ pid: process.pid, space: "elsewhere", id: "other" }));
      expect(held.isHeld()).toBe(true);
      vi.advanceTimersByTime(2_500);
      expect(held.isHeld()).toBe(false);
      held.release();
      expect(JSON.parse(readFileSync(lock(), "utf8"))).toMatchObject({ id: "other" });
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test("a spool that another process has taken over takes nothing more", () => {
    const parts = { name: "f", file: new CrashingFile(), keepUndelivered: () => undefined, release: () => {} };
    let isHeld = true;
    const spool = new FileSpool({ ...parts, compactBytes: 1_000, isHeld: () => isHeld });
    spool.append(RECORDS[1] as SpoolRecord);
    isHeld = false;
    expect(() => spool.append(taken(1))).toThrow(/another process has taken it over/);
    expect(spool.sessions.get("s")?.queue.size).toBe(0);
  });

  test("an owner in another container is believed while it gives signs of life", () => {
    owner({ space: `${hostname()} elsewhere` });
    expect(() => open()).toThrow(/another container or machine has it open, or ended less than 10 s ago/);
  });

  test("of many processes that find a dead owner exactly one follows it", async () => {
    owner({ pid: 0x3fffffff });
    const all = Array.from({ length: 6 }, () => holder());
    const outcomes = await Promise.all(all.map(({ outcome }) => outcome()));
    expect(outcomes.sort()).toEqual([
      "SPOOL_LOCKED",
      "SPOOL_LOCKED",
      "SPOOL_LOCKED",
      "SPOOL_LOCKED",
      "SPOOL_LOCKED",
      "held",
    ]);
    for (const { child } of all) child.kill("SIGKILL");
  });

  /** Another process that opens the spool and stays. */
  function holder() {
    const module = fileURLToPath(new URL("../../client/node/spool.ts", import.meta.url));
    const code = `
      import { openSpool } from ${JSON.stringify(module)};
      try { openSpool({ file: process.argv[1] }); } catch (error) { console.log(error.code); process.exit(); }
      console.log("held");
      setInterval(() => {}, 1000);`;
    const args = ["--input-type=module", "-e", code, file];
    const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
    }
    const outcome = async () => {
      while (!/held|SPOOL/.test(text) && child.exitCode === null)
        await Promise.race([once(child.stdout as never, "data"), once(child, "exit")]);
      return text.trim();
    };
    return { child, said: () => text, outcome, holds: outcome };
  }
});
