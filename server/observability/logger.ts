import { type DestinationStream, type Logger as Pino, pino } from "pino";
import pretty from "pino-pretty";
import { errorFields } from "./error-fields.ts";

export interface LoggerOptions {
  readonly isTerminal: boolean;
  /** Where lines go instead of stdout. */
  readonly destination?: DestinationStream;
}

/**
 * JSON lines on stdout; readable ones on a terminal, written at once so that the last words of a process are not lost.
 * Keys, passwords and content never reach a log line by design, redaction is the second line of defence.
 */
export function createLogger(level: string, { isTerminal, destination }: LoggerOptions): Pino {
  const stream: DestinationStream | undefined = isTerminal
    ? pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "pid,hostname" })
    : destination;
  const settings = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: errorFields },
    redact: {
      paths: ["key", "*.key", "token", "*.token", "*.headers", "*.auth", "authorization", "uri"],
      censor: "[redacted]",
    },
  };
  if (isTerminal && stream !== undefined) return pino(settings, stream);
  const json = { ...settings, formatters: { level: (label: string) => ({ level: label }) } };
  return stream === undefined ? pino(json) : pino(json, stream);
}
