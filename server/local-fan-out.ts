import type { FanOut, KeyNotes } from "./ports.ts";

/** Without Redis nobody is told anything: hubs on one database follow each other through the log. */
export const LOCAL_FAN_OUT: FanOut & KeyNotes = {
  state: { mode: "off" },
  trouble: undefined,
  counts: { received: 0, garbage: 0, dropped: 0, pending_bytes: 0 },
  publish() {},
  onEntry() {},
  onDoubt() {},
  tellKeys() {},
  onKeys() {},
  onState() {},
  async start() {},
  async stop() {},
};
