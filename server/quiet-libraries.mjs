// Imported before everything else. Socket.IO, Engine.IO, ioredis, Express and others print what they handle to stderr for
// the names in DEBUG (keys in handshakes, passwords in logins, everybody's content), and the MongoDB driver for
// MONGODB_LOG_*. They read the variables when they are loaded. Plain JavaScript, because `bin/` runs on any Node.

const CHATTY = /^(DEBUG|MONGODB_LOG_(ALL|COMMAND|TOPOLOGY|SERVER_SELECTION|CONNECTION|CLIENT))$/;
/** What the hub itself understands: a log level, not a name. */
const LEVEL = /^(1|0|true|false|)$/i;

if (process.env.DEBUG_UNSAFE !== "1") {
  const loud = Object.entries(process.env).filter(
    ([name, value]) => CHATTY.test(name) && !(name === "DEBUG" && LEVEL.test(value ?? "")),
  );
  for (const [name] of loud) delete process.env[name];
  if (loud.length > 0) {
    const names = loud.map(([name]) => name).join(", ");
    console.error(
      `state-hub: ${names} ignored: libraries print API keys, passwords and content; LOG_LEVEL=debug shows the hub's own lines, DEBUG_UNSAFE=1 theirs`,
    );
  }
}
