import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../../test/support/random.ts";
import { HttpWire, type WireAnswer } from "./http-wire.ts";
import { newSpeaker } from "./odd-messages.ts";
import { nextRequest } from "./odd-requests.ts";
import { Pace } from "./pace.ts";
import type { FuzzLoad, FuzzResult } from "./scene.ts";

const ANSWER_MS = 10_000;
/** What cannot be understood is answered at once, or waits for more that never comes. */
const BROKEN_ANSWER_MS = 20;
/** Every status that the protocol knows, and Node's own for what it does not serve. */
const KNOWN = new Set([200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 417, 431, 503]);

/** Connections one after the other, each with some requests; the first that is broken is its last. */
export async function fuzzHttp({ hub, count, clients, perSecond, random }: FuzzLoad): Promise<FuzzResult> {
  const pace = new Pace(perSecond);
  const port = Number(new URL(hub.url).port);
  const findings: string[] = [];
  const counts = { connections: 0, requests: 0, answers: 0, accepted: 0 };
  const share = Math.ceil(count / clients);

  async function client(own: Random): Promise<void> {
    for (let left = share; left > 0; ) left -= await live(own.fork(), left);
  }

  /** Returns how many requests it has sent. */
  async function live(life: Random, atMost: number): Promise<number> {
    const wire = new HttpWire(port);
    counts.connections += 1;
    const { names } = newSpeaker(life);
    const turns = Math.min(atMost, life.integer(1, 40));
    let sent = 0;
    for (let isUsable = true; isUsable && sent < turns; ) {
      const request = nextRequest(life, hub.key, names);
      sent += 1;
      counts.requests += 1;
      await write(life, wire, request.bytes);
      const answer = await wire.answer(request.method, request.isWhole ? ANSWER_MS : BROKEN_ANSWER_MS);
      if (answer !== undefined) judge(answer, request.bytes);
      else if (request.isWhole) findings.push(`no answer to ${show(request.bytes)}`);
      isUsable = request.isWhole && wire.isOpen && answer?.headers.get("connection") !== "close";
      await pace.take(1);
    }
    if (life.chance(0.5)) wire.end();
    wire.destroy();
    return sent;
  }

  function judge(answer: WireAnswer, request: Buffer): void {
    counts.answers += 1;
    const { status, headers, body } = answer;
    if (status < 300) counts.accepted += 1;
    const problem = faultOf(status, headers, body);
    if (problem !== undefined)
      findings.push(`${problem}: ${show(request)} was answered ${status} ${body.slice(0, 200)}`);
    if (body.includes(hub.key) || [...headers.values()].some((one) => one.includes(hub.key))) {
      findings.push(`the key in the answer to ${show(request)}`);
    }
  }

  await Promise.all(Array.from({ length: clients }, () => client(random.fork())));
  return { counts, findings };
}

/** What no answer may be, whatever was asked. */
function faultOf(status: number, headers: ReadonlyMap<string, string>, body: string): string | undefined {
  if (!KNOWN.has(status)) return "a status that should not be";
  const type = headers.get("content-type") ?? "";
  const isOurs = headers.has("x-request-id");
  if (status >= 400 && isOurs && body !== "" && !type.startsWith("application/problem+json")) return "no problem";
  if (body !== "" && /json/.test(type) && !isJson(body)) return "no JSON";
  if (/\bat .*\.ts:\d|node_modules/.test(body)) return "a stack";
  return undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** At once, or in pieces as a slow network would bring it. */
async function write(random: Random, wire: HttpWire, bytes: Buffer): Promise<void> {
  if (random.chance(0.9)) {
    wire.write(bytes);
    return;
  }
  for (let start = 0; start < bytes.length; ) {
    const end = start + random.integer(1, Math.max(1, Math.ceil(bytes.length / 3)));
    wire.write(bytes.subarray(start, end));
    start = end;
    await sleep(1);
  }
}

function show(request: Buffer): string {
  return JSON.stringify(
    request
      .toString("latin1")
      .replace(/X-Api-Key: \S+/i, "X-Api-Key: …")
      .slice(0, 300),
  );
}
