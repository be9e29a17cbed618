import type { TaskStatus } from "../shared/entities.ts";
import type { JsonObject } from "../shared/json.ts";
import type { Edit, Published, TaskEdit } from "../shared/messages/changes-publish.ts";
import type { PublishOptions } from "./agent-types.ts";
import { idFrom } from "./identity.ts";

export interface TaskOptions {
  /** Default: made of the title, the same for the same title. Give one where titles may be alike. */
  readonly id?: string;
  /** Default `IN_PROGRESS`. */
  readonly status?: "PENDING" | "IN_PROGRESS";
  readonly metadata?: JsonObject;
}

interface Publisher {
  publish(edits: Edit | readonly Edit[], options?: PublishOptions): Promise<Published>;
}

/**
 * One task of a session. Every method publishes what the protocol asks for on the way (a task that was blocked goes on
 * before it is done) and settles like `publish`; nothing has to be awaited.
 */
export class TaskHandle {
  readonly id: string;
  /** Settles when the hub has the task. */
  readonly begun: Promise<Published>;
  readonly #session: Publisher;
  #status: TaskStatus;

  /** @internal use `session.task` */
  constructor(session: Publisher, id: string, title: string, { status = "IN_PROGRESS", metadata }: TaskOptions) {
    this.id = id;
    this.#session = session;
    this.#status = status;
    this.begun = this.#publish({ title, status, ...(metadata === undefined ? {} : { metadata }) });
  }

  /** What this handle said last. */
  get status(): TaskStatus {
    return this.#status;
  }

  /** 0 to 1. While it waits for the hub, the next one takes its place. */
  progress(progress: number, metadata?: JsonObject): Promise<Published> {
    return this.#publish({ progress, ...(metadata === undefined ? {} : { metadata }) }, { latest: true });
  }

  /** Goes on: after `PENDING`, after `blocked`, or once more after `failed`. */
  started(): Promise<Published> {
    return this.#become("IN_PROGRESS", {});
  }

  /** Cannot go on for now; the reason is kept as `metadata.reason`. */
  blocked(reason?: string): Promise<Published> {
    return this.#become("BLOCKED", withReason(reason));
  }

  done(metadata?: JsonObject): Promise<Published> {
    return this.#become("COMPLETED", { progress: 1, ...(metadata === undefined ? {} : { metadata }) });
  }

  failed(reason?: string): Promise<Published> {
    return this.#become("FAILED", withReason(reason));
  }

  cancelled(reason?: string): Promise<Published> {
    return this.#become("CANCELLED", withReason(reason));
  }

  #become(status: TaskStatus, rest: Partial<TaskEdit>): Promise<Published> {
    for (const step of stepsBefore(status, this.#status)) this.#publish({ status: step });
    this.#status = status;
    return this.#publish({ status, ...rest });
  }

  #publish(edit: Partial<TaskEdit>, options?: PublishOptions): Promise<Published> {
    return this.#session.publish({ ...edit, kind: "task", task_id: this.id }, options);
  }
}

/** What lies between two statuses of a task; whatever is not possible at all is the hub's to refuse. */
function stepsBefore(to: TaskStatus, from: TaskStatus): TaskStatus[] {
  if (to === "IN_PROGRESS") return from === "FAILED" ? ["PENDING"] : [];
  if (to === "BLOCKED" || to === "FAILED") return from === "PENDING" ? ["IN_PROGRESS"] : [];
  return to === "COMPLETED" && (from === "PENDING" || from === "BLOCKED") ? ["IN_PROGRESS"] : [];
}

function withReason(reason: string | undefined): Partial<TaskEdit> {
  return reason === undefined ? {} : { metadata: { reason } };
}

/** The same id for the same title, also for titles that ids have no characters for. */
export function taskIdOf(title: string): string {
  return idFrom(title).replace(/-+$/, "") || `task-${textHash(title)}`;
}

/** FNV-1a: short, and the same everywhere. */
function textHash(text: string): string {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
