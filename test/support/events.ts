import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Mirror } from "../../client/mirror.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import { eventually } from "./eventually.ts";
import type { Stage } from "./test-hub.ts";
import type { Json } from "./wire.ts";

interface Address {
  readonly url: string;
  readonly key: string;
}

export interface Heard {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Json;
}

export interface FollowOptions {
  readonly query?: string;
  readonly lastEventId?: string;
}

/** A reader of server-sent events, as the HTML standard has it, that remembers what it hears and stays where it ended. */
export class Events {
  readonly heard: Heard[] = [];
  /** What a browser would send as Last-Event-ID. */
  lastId: string | undefined;
  retryMs: number | undefined;
  hasEnded = false;
  readonly response: Response;
  readonly #abort: AbortController;

  constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    void this.#read()
      .catch(() => {})
      .then(() => {
        this.hasEnded = true;
      });
  }

  of(event: string): Json[] {
    return this.heard.filter((one) => one.event === event).map(({ data }) => data);
  }

  async hears(event: string, count = 1): Promise<Json[]> {
    await eventually(`${count} × ${event}`, () => this.of(event).length >= count);
    return this.of(event);
  }

  /** The connection is lost without a word. */
  cut(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.response.body ?? []) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block: string): void {
    const retry = /^retry: (\d+)$/m.exec(block)?.[1];
    if (retry !== undefined) this.retryMs = Number(retry);
    for (const heard of eventsIn(`${block}\n\n`)) {
      this.lastId = heard.id ?? this.lastId;
      this.heard.push(heard);
    }
  }
}

/** Events that stand in a text as a whole. */
export function eventsIn(text: string): Heard[] {
  return [...text.matchAll(/^event: (\S+)\n(?:id: (\S+)\n)?data: (.*)\n\n/gm)].map(([, event = "", id, json = ""]) => ({
    event,
    id,
    data: JSON.parse(json),
  }));
}

/** A body as it was before HTTP cut it into chunks, head included; text in which every character is one byte. */
export function withoutChunks(text: string): string {
  let body = "";
  let start = text.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const end = text.indexOf("\r\n", start);
    const size = Number.parseInt(text.slice(start, end), 16);
    if (end < 0 || !(size > 0) || text.length < end + 2 + size) return body;
    body += text.slice(end + 2, end + 2 + size);
    start = end + 4 + size;
  }
}

/** Opens a stream and waits for its head. */
export async function follow(stage: Stage, hub: Address, projectId = "p", options: FollowOptions = {}) {
  const abort = new AbortController();
  const { query = "", lastEventId } = options;
  const response = await fetch(`${hub.url}/projects/${projectId}/events${query}`, {
    headers: { "X-Api-Key": hub.key, ...(lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId }) },
    signal: abort.signal,
  });
  if (response.status !== 200) throw Object.assign(new Error(await response.text()), { response });
  return stage.add(new Events(response, abort), (events) => events.cut());
}

/** A stream on a connection from which nothing is read until `socket.resume()`. */
export async function followDeaf(stage: Stage, hub: Address, projectId = "p"): Promise<Socket> {
  const socket = stage.add(connect(Number(new URL(hub.url).port), "127.0.0.1"), (one) => one.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.pause();
  socket.write(`GET /projects/${projectId}/events HTTP/1.1\r\nHost: hub\r\nX-Api-Key: ${hub.key}\r\n\r\n`);
  return socket;
}

/** Fails unless every frame continues the one before; returns where the last one ends. */
export function chainEnd(seq: number, heard: readonly Heard[]): number {
  let last = seq;
  for (const { event, id, data } of heard) {
    if (event === "position" && data.seq !== last) throw new Error(`position ${data.seq} after ${last}`);
    if (event !== "changes") continue;
    const { from_seq, to_seq, epoch } = data as ChangesFrame;
    if (from_seq !== last + 1) throw new Error(`${from_seq} after ${last}`);
    if (id !== `${epoch}:${to_seq}`) throw new Error(`id ${id} of a frame to ${to_seq}`);
    last = to_seq;
  }
  return last;
}

/** The state that a snapshot over REST begins, and its position. */
export async function snapshotInto(mirror: Mirror, hub: Address, projectId = "p"): Promise<string> {
  const headers = { "X-Api-Key": hub.key };
  mirror.beginJoin();
  const page = (await (await fetch(`${hub.url}/projects/${projectId}/snapshot`, { headers })).json()) as Json;
  mirror.joined({ mode: "snapshot", reason: "first", ...page });
  return `${page.epoch}:${page.seq}`;
}
