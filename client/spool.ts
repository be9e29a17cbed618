import type { SessionOpenInput } from "../shared/messages/session-open.ts";
import type { StateHubError } from "./errors.ts";
import type { EntryContent } from "./outbox.ts";

/** What proves to every hub that this is the session's owner come back. */
export interface Proof {
  readonly incarnation: number;
  readonly token: string;
}

/** A publish that the spool keeps until the hub's word is there. */
export interface SpooledEntry {
  readonly id: number;
  readonly content: EntryContent;
  readonly alone: boolean;
  readonly latest: boolean;
}

/** All that is needed to go on with a session in another process. */
export interface SpooledSession {
  readonly spec: SessionOpenInput;
  readonly proof: Proof | undefined;
  /** In the order in which they go out, by id. */
  readonly queue: ReadonlyMap<number, SpooledEntry>;
  /** Sent, or about to be, when the process ended: has to be sent once more as it is. */
  readonly inFlight:
    | { readonly op: number; readonly content: EntryContent; readonly entries: readonly SpooledEntry[] }
    | undefined;
}

/** One step of an agent, as it stands in a spool. `session` is a session_id: an agent holds each once. */
export type SpoolRecord =
  | { readonly type: "agent"; readonly agent_id: string }
  | { readonly type: "session"; readonly spec: SessionOpenInput }
  | ({ readonly type: "owned"; readonly session: string } & Proof)
  /** Taken by `publish()`; the same id again: overwritten while it waits. */
  | ({ readonly type: "taken"; readonly session: string } & SpooledEntry)
  /** From now on the first entries of the queue may be with the hub, as this op and, if there are several, this content. */
  | {
      readonly type: "sent";
      readonly session: string;
      readonly op: number;
      readonly entries: number;
      readonly content?: EntryContent;
    }
  /** Refused together: back in the queue, each alone. */
  | { readonly type: "returned"; readonly session: string }
  /** The hub has answered what was sent. */
  | { readonly type: "answered"; readonly session: string }
  /** Ended, taken by another agent, or refused: nothing of it is needed any more. */
  | { readonly type: "over"; readonly session: string };

/** A publish of an earlier process that can no longer be delivered. */
export interface Undelivered {
  readonly sessionId: string;
  readonly projectId: string;
  readonly content: EntryContent;
  readonly error: StateHubError;
}

/**
 * Where an agent keeps what it has taken and not delivered, so that another process can go on with it. Owned by one
 * agent from `connectAgent` on, which closes it. `openSpool` of `@state-hub/client/spool` makes one of a file.
 */
export interface Spool {
  /** Who the earlier processes were; empty for a new spool. */
  readonly agentId: string | undefined;
  /** What they left, by session_id. */
  readonly sessions: ReadonlyMap<string, SpooledSession>;
  /** For people: the file's name. */
  readonly name: string;
  /** Settles the record's fate before it returns: it survives the end of this process, or a `StateHubError` `SPOOL_FAILED`. */
  append(record: SpoolRecord): void;
  /** Where people find what could not be delivered; undefined when there was no room for it. */
  keepUndelivered(undelivered: Undelivered): string | undefined;
  /** Gives the spool free for another process; what it holds stays. */
  close(): void;
}
