import { connect } from "node:net";
import { join } from "node:path";
import type { Program } from "./kept-process.ts";

const STOPS_WITHIN_MS = 5_000;
const ANSWERS_WITHIN_MS = 1_000;

/** A Redis that keeps nothing: hubs need it for what is on its way, never for what was. */
export function redisProgram(path: string, port: number, dataDir: string): Program {
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  return {
    name: "redis",
    command: [path, ...settings, "--dir", dataDir],
    logFile: join(dataDir, "redis.log"),
    isReady: () => answersPing(port),
    stopWithinMs: STOPS_WITHIN_MS,
  };
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const end = (answers: boolean) => {
      socket.destroy();
      resolve(answers);
    };
    socket.setTimeout(ANSWERS_WITHIN_MS, () => end(false));
    socket.on("data", (data) => end(data.toString().startsWith("+PONG")));
    socket.on("error", () => end(false));
  });
}
