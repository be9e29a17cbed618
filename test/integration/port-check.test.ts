import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { assertPortFree, freePort } from "../../server/embedded/port-check.ts";

test("a free port passes, and stays free", async () => {
  const port = await freePort();
  await assertPortFree("127.0.0.1", port);
  await assertPortFree("127.0.0.1", port);
});

test("a taken port is refused with its owner, if that can be told, and a port that is free", async () => {
  const server = createServer().listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const error = await assertPortFree("127.0.0.1", port).catch((reason: Error) => reason);
  const message = error instanceof Error ? error.message : "";
  const owner = process.platform === "linux" ? `node.* \\(pid ${process.pid}\\)` : ".+";
  expect(message).toMatch(new RegExp(`^port ${port} is in use by ${owner}; set PORT=\\d+$`));
  await assertPortFree("127.0.0.1", Number(message.split("PORT=")[1]));
  server.close();
});

test("an address of another machine is refused with the name of the variable", async () => {
  // 192.0.2.0/24 is reserved for documentation: no machine has it.
  await expect(assertPortFree("192.0.2.1", 3000)).rejects.toThrow(
    /HOST=192\.0\.2\.1 is not an address of this machine/,
  );
});
