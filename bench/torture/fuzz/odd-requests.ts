import type { Random } from "../../../test/support/random.ts";
import { PROJECTS, sessionEdit, spoilt } from "./odd-messages.ts";
import { bytes, IDS, mangled, metadata, restructured, STATUSES, STRINGS, write } from "./odd-values.ts";

export interface OddRequest {
  readonly method: string;
  /** What is written. */
  readonly bytes: Buffer;
  /** It is framed as HTTP asks for: an answer must come, and others may follow on the connection. */
  readonly isWhole: boolean;
}

const METHODS = ["GET", "GET", "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];
const PARAMETERS = ["project_id", "status", "liveness", "machine_id", "limit", "cursor", "created_from", "kind", "at"];
PARAMETERS.push("__proto__", "constructor", "status[$ne]", "status[]", "a.b", "");
const ODD_PATHS = ["/", "//", "/.", "/..", "/../etc/passwd", "/sessions/", "//sessions", "/sessions//a", "/Sessions"];
ODD_PATHS.push("/%", "/%00", "/sessions/%E0%A4%A", "/sessions/a%2Fb", "/sessions/..%2f..", "*", "http://x/sessions");
ODD_PATHS.push("/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=3", "/socket.io/", "/health?x=%ff", "/\u00e9");
ODD_PATHS.push("/metrics", "/admin/keys", "/docs", "/sessions?a=1&a=2", "/sessions?key=x", `/${"a/".repeat(2_000)}`);
const ODD_HEADERS = ["Content-Length: -1", "Content-Length: 5, 5", "Content-Length: 0x5", "Transfer-Encoding: gzip"];
ODD_HEADERS.push("Transfer-Encoding: chunked, identity", "Host: other", "Expect: 200-ok", "Upgrade: h2c", "X-A\0: b");
ODD_HEADERS.push("Connection: upgrade", "Content-Encoding: gzip", "X-Forwarded-For: 6.6.6.6", " X: folded", ": empty");
const FINE_HEADERS = ["Accept: */*", "Origin: https://evil.example", "X-Request-Id: a b", "X-Request-Id: fine:1"];
FINE_HEADERS.push('If-Match: "1"', "If-Match: *", 'If-Match: W/"1"', 'If-None-Match: "1"', "If-None-Match: nonsense");
FINE_HEADERS.push("Authorization: Bearer nobody", "Authorization: Basic eDp5", "Cookie: a=b", "Range: bytes=0-1");
FINE_HEADERS.push(
  "Content-Type: text/plain",
  "Content-Type: application/json; charset=utf-16",
  `X-Long: ${"x".repeat(9_000)}`,
);

/** The next request on a connection. */
export function nextRequest(random: Random, key: string, names: readonly string[]): OddRequest {
  const kind = random.next();
  if (kind < 0.9) return whole(random, key, names);
  if (kind < 0.95) {
    const { method, bytes: fine } = whole(random, key, names);
    const text = mangled(random, fine.toString("latin1"));
    return { method, bytes: Buffer.from(text, "latin1"), isWhole: false };
  }
  if (kind < 0.98) return broken(random, key);
  return { method: "GET", bytes: Buffer.from(bytes(random, 300)), isWhole: false };
}

function whole(random: Random, key: string, names: readonly string[]): OddRequest {
  const id = () => (random.chance(0.9) ? random.pick(names) : encodeURIComponent(random.pick(IDS)));
  const [method, path, body] = random.chance(0.85) ? known(random, id, names) : unknown(random);
  const lines = [`${method} ${path} HTTP/1.1`, "Host: 127.0.0.1"];
  // Most of it as somebody who may: a 401 says little.
  if (random.chance(0.97)) lines.push(`X-Api-Key: ${key}`);
  if (random.chance(0.2)) lines.push(random.pick(FINE_HEADERS));
  if (body === undefined) return { method, bytes: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), isWhole: true };
  if (!lines.some((line) => line.startsWith("Content-Type"))) lines.push("Content-Type: application/json");
  return { method, bytes: withBody(random, lines, body), isWhole: true };
}

type Line = readonly [method: string, path: string, body?: string];

/** Requests that the hub serves, most of them right. */
function known(random: Random, id: () => string, names: readonly string[]): Line {
  const session = `/sessions/${id()}`;
  const project = random.pick([...PROJECTS, id()]);
  return random.pick<() => Line>([
    () => ["GET", `/sessions?${query(random)}`],
    () => ["GET", `/tasks?${query(random)}`],
    () => ["GET", `${session}?project_id=${project}`],
    () => ["GET", `${session}/changes?project_id=${project}&${query(random)}`],
    () => ["GET", `${session}/tasks?project_id=${project}`],
    () => ["GET", `/projects/${project}/snapshot?${random.chance(0.2) ? "cursor=0123456789abcdef.1" : ""}`],
    () => ["GET", random.pick(["/health", "/health/ready"])],
    () => ["POST", "/sessions", json(random, created(random, names))],
    () => ["POST", "/sessions", json(random, created(random, names))],
    () => ["PATCH", `${session}?project_id=${project}`, json(random, sessionEdit(random))],
    () => ["PATCH", `${session}?project_id=${project}`, json(random, sessionEdit(random))],
    () => ["POST", `${session}/close?project_id=${project}`, json(random, { status: random.pick(STATUSES) })],
    () => ["POST", `${session}/expire?project_id=${project}`, random.chance(0.5) ? "" : json(random, {})],
  ])();
}

function unknown(random: Random): Line {
  const method = random.pick(METHODS);
  const path = random.pick([...ODD_PATHS, "/sessions", "/sessions/a", `/sessions?${query(random)}`]);
  return random.chance(0.5) ? [method, path.replace("\u00e9", "%C3%A9")] : [method, encodeURI(path), "{}"];
}

/** Sessions of their own, so that most of them are created, and agents' too. */
function created(random: Random, names: readonly string[]): object {
  return spoilt(random, random.chance(0.9), {
    session_id: random.chance(0.8) ? random.pick(names) : `r${random.integer(0, 200)}`,
    project_id: random.pick(PROJECTS),
    machine_id: random.pick(["m", "a", ...IDS.slice(0, 4)]),
    ...(random.chance(0.3) ? { status: random.pick(STATUSES) } : {}),
    ...(random.chance(0.5) ? { metadata: metadata(random) } : {}),
  }) as object;
}

function json(random: Random, message: unknown): string {
  if (random.chance(0.15)) return restructured(random, message);
  const text = write(random, message);
  return random.chance(0.05) ? mangled(random, text) : text;
}

function query(random: Random): string {
  const parameters = Array.from({ length: random.integer(0, 3) }, () => {
    const name = random.chance(0.8) ? random.pick(PARAMETERS.slice(0, 9)) : random.pick(PARAMETERS);
    const known = [...STATUSES, ...PROJECTS, "1", "0", "501", "2026-11-22T06:00:00Z"];
    return `${encodeURIComponent(name)}=${encodeURIComponent(random.pick(random.chance(0.8) ? known : STRINGS.filter((one) => one !== "\ud800")))}`;
  });
  return parameters.join("&");
}

function withBody(random: Random, lines: readonly string[], body: string): Buffer {
  const content = Buffer.from(random.chance(0.01) ? body + " ".repeat(40_000) : body);
  if (random.chance(0.8)) {
    return Buffer.concat([
      Buffer.from(`${[...lines, `Content-Length: ${content.length}`].join("\r\n")}\r\n\r\n`),
      content,
    ]);
  }
  const parts = [Buffer.from(`${[...lines, "Transfer-Encoding: chunked"].join("\r\n")}\r\n\r\n`)];
  for (let start = 0; start < content.length; ) {
    const chunk = content.subarray(start, start + random.integer(1, 5_000));
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
    start += chunk.length;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

/** Framed so that two readers could disagree on it, or with a header that is none. */
function broken(random: Random, key: string): OddRequest {
  const body = '{"session_id":"smuggled","machine_id":"m"}';
  const lines = ["POST /sessions HTTP/1.1", "Host: x", `X-Api-Key: ${key}`, "Content-Type: application/json"];
  lines.splice(random.integer(1, lines.length), 0, random.pick(ODD_HEADERS));
  const length = random.pick([0, 5, body.length, body.length + 10, 99_999_999]);
  lines.push(random.chance(0.5) ? `Content-Length: ${length}` : "Transfer-Encoding: chunked");
  const text = `${lines.join("\r\n")}\r\n\r\n${random.chance(0.5) ? body : `zz\r\n${body}\r\n0\r\n\r\n`}`;
  return { method: "POST", bytes: Buffer.from(text, "latin1"), isWhole: false };
}
