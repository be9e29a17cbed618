import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { refuse } from "../../shared/errors.ts";
import { type HttpRefusal, invalid, problemOf } from "./problem.ts";

/** What Node's parser gives up on, before there is a request that the app could answer. */
const REFUSALS: Readonly<Record<string, HttpRefusal>> = {
  HPE_HEADER_OVERFLOW: {
    ...refuse("PAYLOAD_TOO_LARGE", "the request's headers are larger than 16 KiB"),
    http: { status: 431, title: "Request header fields too large" },
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    ...refuse("TIMEOUT", "the request came too slowly"),
    http: { status: 408, title: "Request timeout" },
  },
};
const NOT_HTTP: HttpRefusal = invalid("", "this is not HTTP/1.1");

/** Answers with a problem as the app does, and closes the connection: what follows could not be understood. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, connection: Duplex): void {
  // `_httpMessage` is what Node's own answer looks at too: one that has begun must not be mixed with another.
  const socket = connection as Socket & { readonly _httpMessage?: ServerResponse | null };
  const answer = socket._httpMessage;
  if (socket.writable && answer?.headersSent !== true && error.code !== "ECONNRESET") {
    socket.write(textOf(REFUSALS[error.code ?? ""] ?? NOT_HTTP));
  }
  socket.destroySoon();
}

function textOf(refusal: HttpRefusal): string {
  const requestId = randomUUID();
  const problem = problemOf(refusal, requestId);
  const body = JSON.stringify(problem);
  const headers = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    "Connection: close",
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
  ];
  return `${headers.join("\r\n")}\r\n\r\n${body}`;
}
