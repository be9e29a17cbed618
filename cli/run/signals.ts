import { hasTerminal } from "./child.ts";

const FORWARDED = ["SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGHUP"];

/**
 * This process outlives its child, so signals never end it. Those that a terminal sends reach the child by themselves
 * (same foreground group) and are passed on only when there is no terminal.
 */
export function takeSignals(handle: (signal: NodeJS.Signals, reachesChildByItself: boolean) => void): void {
  const withTerminal = hasTerminal();
  for (const signal of FORWARDED) {
    process.on(signal, () => handle(signal, withTerminal && FROM_TERMINAL.includes(signal)));
  }
}
