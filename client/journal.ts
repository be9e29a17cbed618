import type { StateHubError } from "./errors.ts";
import type { Batch } from "./outbox.ts";
import type { Proof, SpooledEntry, SpoolRecord } from "./spool.ts";

/** What one session writes down so that another process could go on with it. */
export interface Journal {
  /** Throws `SPOOL_FAILED` when it cannot be kept: then it must not count as taken. */
  taken(entry: SpooledEntry): void;
  owned(proof: Proof): void;
  sent(op: number, batch: Batch): void;
  returned(): void;
  answered(): void;
  over(): void;
}

export const NO_JOURNAL: Journal = {
  taken: () => {},
  owned: () => {},
  sent: () => {},
  returned: () => {},
  answered: () => {},
  over: () => {},
};

/**
 * Writes to the agent's spool. Only `taken` fails towards its caller: a full disk must not keep what is already taken
 * from its way to the hub, so elsewhere the failure is told (the next append that succeeds makes the spool whole again).
 */
export function spoolJournal(
  append: (record: SpoolRecord) => void,
  session: string,
  failed: (error: StateHubError) => void,
): Journal {
  const note = (record: SpoolRecord) => {
    try {
      append(record);
    } catch (error) {
      failed(error as StateHubError);
    }
  };
  return {
    taken: ({ id, content, alone, latest }) => append({ type: "taken", session, id, content, alone, latest }),
    owned: ({ incarnation, token }) => note({ type: "owned", session, incarnation, token }),
    sent: (op, { entries, content }) =>
      note({ type: "sent", session, op, entries: entries.length, ...(entries.length === 1 ? {} : { content }) }),
    returned: () => note({ type: "returned", session }),
    answered: () => note({ type: "answered", session }),
    over: () => note({ type: "over", session }),
  };
}
