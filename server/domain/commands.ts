import type { Actor, Session } from "../../shared/entities.ts";
import type { Refusal } from "../../shared/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { Limits } from "../../shared/limits.ts";
import type { Edit, PublishResult, TaskEdit } from "../../shared/messages/changes-publish.ts";
import type { Head, LogChange, SessionRecord, TaskRecord } from "./records.ts";

/** An agent opens a session. */
export interface OpenCommand {
  readonly type: "open";
  readonly session_id: string;
  readonly project_id: string;
  readonly machine_id: string;
  readonly agent_id: string | undefined;
  readonly status: Session["status"];
  readonly environment: string;
  readonly metadata: JsonObject;
  readonly parent_session_id: string | undefined;
  readonly resumed_from: string | undefined;
  /** The incarnation for which the agent showed a valid token, 0 for none: proof of being that owner. */
  readonly proven_incarnation: number;
  /** Incarnation and token came along, right or wrong: then the agent_id alone proves nothing. */
  readonly showed_token: boolean;
  readonly takeover: boolean;
  readonly actor: Actor;
}

/** An agent changes a session and its tasks. */
export interface PublishCommand {
  readonly type: "publish";
  readonly session_id: string;
  readonly incarnation: number;
  readonly op: number;
  readonly edits: readonly Edit[];
  /** Where the edits stand in the request, for naming fields in refusals: `changes[1].title`, or `title`. */
  readonly envelope: "changes" | "none";
  /** Whether the connection it came on has the session open in that incarnation. */
  readonly owns: boolean;
  readonly actor: Actor;
}

/** An operator or program creates a session over REST. */
export interface CreateCommand {
  readonly type: "create";
  readonly session_id: string;
  readonly project_id: string;
  readonly machine_id: string;
  readonly status?: Session["status"] | undefined;
  readonly environment?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly actor: Actor;
  readonly request_id: string;
}

/** An operator or program changes a session over REST. */
export interface EditCommand {
  readonly type: "edit";
  readonly session_id: string;
  readonly edits: readonly Edit[];
  readonly actor: Actor;
  readonly request_id: string;
}

/** An operator or program creates a task over REST; the same request again finds it there. */
export interface CreateTaskCommand {
  readonly type: "create_task";
  readonly session_id: string;
  readonly task: Pick<TaskEdit, "task_id" | "status" | "progress" | "metadata"> & { readonly title: string };
  readonly actor: Actor;
  readonly request_id: string;
}

/** An operator or program changes a task over REST; one that is not there is not made. */
export interface EditTaskCommand {
  readonly type: "edit_task";
  readonly session_id: string;
  readonly edit: TaskEdit;
  readonly actor: Actor;
  readonly request_id: string;
}

/** An operator gives up a session whose agent is gone. */
export interface ExpireCommand {
  readonly type: "expire";
  readonly session_id: string;
  readonly actor: Actor;
  readonly request_id: string;
}

/** The hub's own word on a session. Applied only while its condition still holds in the commit, else dropped: no change, no refusal. */
export interface VerdictCommand {
  readonly type: "verdict";
  readonly session_id: string;
  /** `expired`: lost for LOST_EXPIRY, ended FAILED. */
  readonly to: "online" | "stale" | "lost" | "expired";
  readonly condition: {
    readonly hub_id: string;
    readonly incarnation: number;
    readonly liveness: Session["liveness"];
  };
  /** Asked again at every decision ("still expired" by this hub's clock, "that hub is still dead"); false drops the verdict. */
  readonly holds: () => boolean;
  readonly actor: Actor;
}

export type Command =
  | OpenCommand
  | PublishCommand
  | CreateCommand
  | EditCommand
  | CreateTaskCommand
  | EditTaskCommand
  | ExpireCommand
  | VerdictCommand;

/** What is true of the commit that a command is decided for. */
export interface DecideContext {
  readonly head: Head;
  readonly nextSeq: number;
  readonly at: string;
  readonly hubId: string;
  readonly limits: Limits;
  readonly stateEveryVersions: number;
}

/** The command's answer once its changes are in the log. `seq` is the last of them, or the head when there are none. */
export interface Answer {
  readonly session: SessionRecord;
  /** Of a command about one task. */
  readonly task?: TaskRecord;
  readonly created: boolean;
  readonly resumed: boolean;
  readonly results: readonly PublishResult[];
  readonly seq: number;
  /** The op was applied before; `seq` is its original one and the results still have to be read from the log. */
  readonly duplicate: boolean;
}

export type Decision = { readonly kind: "refused"; readonly refusal: Refusal } | Accepted;

export interface Accepted {
  readonly kind: "accepted";
  readonly changes: readonly LogChange[];
  readonly session: SessionRecord | undefined;
  readonly tasks: readonly TaskRecord[];
  readonly answer: Answer;
}
