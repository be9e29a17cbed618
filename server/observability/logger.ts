import { type DestinationStream, type Logger as Pino, pino } from "pino";
import pretty from "pino-pretty";

/**
 * JSON lines on stdout; readable ones on a terminal, written at once so that the last words of a process are not lost.
 * Keys and passwords never reach a log line by design, redaction is the second line of defence.
 */
export function createLogger(level: string, options: { readonly isTerminal: boolean }): Pino {
  const stream: DestinationStream | undefined = options.isTerminal
    ? pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "pid,hostname" })
    : undefined;
  const settings = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ["key", "*.key", "token", "*.token", "*.headers", "*.auth", "authorization", "uri"],
      censor: "[redacted]",
    },
  };
  if (stream !== undefined) return pino(settings, stream);
  return pino({ ...settings, formatters: { level: (label: string) => ({ level: label }) } });
}
