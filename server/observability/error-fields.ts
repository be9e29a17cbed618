/** What a log line tells of an error. */
interface ErrorFields {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  /** Places in the code only. */
  readonly stack?: string;
  readonly cause?: ErrorFields;
}

const MESSAGE_CHARS = 300;
const STACK_LINES = 20;
const CAUSES = 3;

/**
 * An error without anybody's content. Drivers hang whole commands on their errors, V8 quotes the JSON that it could not
 * parse, MongoDB the document that it refused: of an error only its kind, its code, the fixed words of its message and
 * its places are told.
 */
export function errorFields(error: unknown, depth = 0): ErrorFields {
  if (!(error instanceof Error)) return { type: typeof error, message: "" };
  const { code } = error as { code?: unknown };
  const stack = placesOf(error);
  return {
    type: error.name.slice(0, 100),
    message: withoutContent(error.message),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(stack === "" ? {} : { stack }),
    ...(error.cause instanceof Error && depth < CAUSES ? { cause: errorFields(error.cause, depth + 1) } : {}),
  };
}

/** The same on one line and the lines of its places, for stderr. */
export function errorText(error: unknown): string {
  const { type, message, code, stack } = errorFields(error);
  const head = [type, code, message].filter((part) => part !== undefined && part !== "").join(": ");
  return stack === undefined ? head : `${head}\n${stack}`;
}

/** From the first double quote or brace on it is, or may be, somebody's content. */
function withoutContent(message: string): string {
  const words = message.split(/["{]/, 1)[0] ?? "";
  return words.length < message.length ? `${words.slice(0, MESSAGE_CHARS)}…` : words.slice(0, MESSAGE_CHARS);
}

/** The stack begins with the message, which may have lines that look like places. */
function placesOf({ stack = "", message }: Error): string {
  const at = stack.indexOf(message);
  const lines = stack.slice(at < 0 ? 0 : at + message.length).split("\n");
  return lines
    .filter((line) => /^ {4}at [^"{]*(:\d+:\d+|<anonymous>)\)?$/.test(line))
    .slice(0, STACK_LINES)
    .join("\n");
}
