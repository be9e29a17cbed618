import { type Session, SessionStatus } from "../shared/entities.ts";
import type { JsonObject } from "../shared/json.ts";
import { mergePatch } from "../shared/merge-patch.ts";
import type { Edit, Published } from "../shared/messages/changes-publish.ts";
import type { SessionChanged } from "../shared/messages/notices.ts";

/**
 * A session as its agent knows it: from the last open, what others changed since, and its own edits that were applied.
 * Answers and notices may overtake each other, so the version says which status is the newer one.
 */
export class KnownSession {
  #session: Session | undefined;
  #statusVersion = 0;

  get session(): Session | undefined {
    return this.#session;
  }

  opened(session: Session): void {
    this.#session = session;
    this.#statusVersion = session.version;
  }

  changedByOther({ version, patch }: SessionChanged): void {
    const before = this.#session;
    if (before === undefined || version <= before.version) return;
    const { status, ...rest } = patch;
    // The hub's own patch makes a session of a session.
    const after = mergePatch({ ...before } as unknown as JsonObject, rest) as unknown as Session;
    this.#session = { ...after, version };
    const parsed = SessionStatus.safeParse(status);
    if (parsed.success) this.#follow(parsed.data, version);
  }

  /** Of an agent's own edits the hub sends no patch. */
  applied(edits: readonly Edit[], published: Published): void {
    const edit = edits.find((one) => one.kind === "session");
    const result = published.results?.find((one) => one.kind === "session");
    const before = this.#session;
    if (edit?.kind !== "session" || result === undefined || before === undefined) return;
    const metadata = mergePatch(before.metadata, edit.metadata ?? {}) as JsonObject;
    this.#session = { ...before, metadata, version: Math.max(before.version, result.version) };
    if (edit.status !== undefined) this.#follow(edit.status, result.version);
  }

  #follow(status: SessionStatus, version: number): void {
    if (this.#session === undefined || version < this.#statusVersion) return;
    this.#statusVersion = version;
    const { waiting_for, ...rest } = this.#session;
    this.#session = { ...rest, status, ...(status === "WAITING" && waiting_for !== undefined ? { waiting_for } : {}) };
  }
}
