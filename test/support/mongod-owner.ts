// A process like a hub, for tests that kill it: locks the data folder, runs an embedded mongod on it, prints
// {"uri","pid","port"} as one line on stdout, and stops on SIGTERM or SIGINT.

import { openDataFolder } from "../../server/embedded/data-folder.ts";
import { startEmbeddedMongod } from "../../server/embedded/embedded-mongod.ts";
import { StartupError } from "../../server/startup-error.ts";

try {
  const folder = await openDataFolder(process.argv[2] ?? "");
  const mongod = await startEmbeddedMongod({
    dataDir: folder.path,
    env: process.env,
    say: (line) => console.error(line),
    onExit: (error) => console.error(error.message),
  });
  const stop = async (signal: string) => {
    console.error(`got ${signal}`);
    await mongod.stop();
    folder.release();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  console.log(JSON.stringify({ uri: mongod.uri, pid: mongod.pid, port: mongod.port }));
} catch (error) {
  console.error(error instanceof StartupError ? `StartupError: ${error.message}` : error);
  process.exit(1);
}
