import { createConnection } from "node:net";
import { findRedis } from "../../scripts/cluster/find-redis.ts";
import { freePort, launch, type Running, until } from "./processes.ts";

export interface RunningRedis extends Running {
  readonly url: string;
}

/** A redis-server of its own on loopback, that keeps nothing on disk. */
export async function startRedis(): Promise<RunningRedis> {
  const binary = await findRedis(process.env, console.error);
  const port = await freePort();
  const listen = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const running = launch("redis-server", binary, listen);
  await Promise.race([until("redis answers", () => answers(port)), running.failure]);
  return { pid: running.pid, kill: running.kill, stop: running.stop, url: `redis://127.0.0.1:${port}` };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.once("data", () => socket.destroy());
    socket.once("error", () => {});
    socket.once("close", () => resolve(socket.bytesRead > 0));
  });
}
