import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { listen } from "../../server/http/listen.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

const ANY_PORT = { host: "127.0.0.1", port: 0 };

async function startServer(
  address = ANY_PORT,
  bounds: Pick<typeof BOUNDS, "listenBacklog"> & { listenSockets: number } = BOUNDS,
) {
  const http = createServer((_request, response) => response.end("hello"));
  const listening = await listen(http, address, bounds);
  stage.add(listening, ({ close }) => {
    close();
    http.closeAllConnections();
    http.close();
  });
  return { http, ...listening };
}

test("every one of many connections that come at once is answered, on whatever socket it came", async () => {
  const { http, port } = await startServer();
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => (await fetch(`http://127.0.0.1:${port}/`)).text()),
  );
  expect(new Set(answers)).toEqual(new Set(["hello"]));
  expect((http.address() as AddressInfo).port).toBe(port);
});

test("what comes after the further sockets were closed is answered too", async () => {
  const { port, close } = await startServer();
  close();
  const answers = await Promise.all(
    Array.from({ length: 50 }, async () => (await fetch(`http://127.0.0.1:${port}/`)).text()),
  );
  expect(answers).toHaveLength(50);
});

test.each([
  ["several sockets", BOUNDS],
  ["one socket", { ...BOUNDS, listenSockets: 1 }],
])("a port that listens with %s is not shared with a second server", async (_sockets, bounds) => {
  const { port } = await startServer(ANY_PORT, bounds);
  await expect(startServer({ host: "127.0.0.1", port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: port ${port} is in use; set PORT=${port + 1}`,
  );
});
