import { z } from "zod";
import {
  Actor,
  Change,
  Liveness,
  Metadata,
  Session,
  SessionStatus,
  Task,
  TaskStatus,
  Timestamp,
  WaitingFor,
  WaitingRequest,
} from "../../../shared/entities.ts";
import { AckError, ErrorCodeWord, Problem } from "../../../shared/error-schemas.ts";
import { Id } from "../../../shared/ids.ts";
import { DEFAULT_LIMITS } from "../../../shared/limits.ts";
import { HeartbeatInfo } from "../../../shared/messages/frames.ts";
import { Lease } from "../../../shared/messages/lease.ts";
import { SnapshotPage } from "../../../shared/messages/project-snapshot.ts";
import { Position } from "../../../shared/position.ts";
import { RecordedChange } from "../../../shared/rest/changes.ts";
import { Check, DEFAULT_PROJECTS, MOST_PROJECTS, ProjectsLimit } from "../../../shared/rest/doctor.ts";
import { KeyView } from "../../../shared/rest/keys.ts";
import { DrainProgress, HubStats, HubView } from "../../../shared/rest/operations.ts";
import { ProjectView } from "../../../shared/rest/projects.ts";
import { PurgeView } from "../../../shared/rest/purges.ts";
import { DEFAULT_PAGE, MAX_PAGE, PageParameters, Time, Whole } from "../../../shared/rest/query.ts";
import { DisplayView, SessionView } from "../../../shared/rest/sessions.ts";

interface Told {
  /** Its name in the documents. */
  readonly id?: string;
  /** Its JSON Schema where zod cannot tell: what a URL carries as text, what is checked by code. */
  readonly wire?: object;
}

/** The schemas that have names of their own, and how those look that JSON Schema does not follow from. */
export const NAMES = z.registry<Told>();

const NAMED = {
  Session,
  SessionView,
  SessionStatus,
  Liveness,
  WaitingFor,
  WaitingRequest,
  Display: DisplayView,
  Task,
  TaskStatus,
  Change,
  RecordedChange,
  Actor,
  HeartbeatInfo,
  ProjectView,
  SnapshotPage,
  Position,
  Lease,
  KeyView,
  DrainProgress,
  HubView,
  HubStats,
  Check,
  PurgeView,
  Problem,
  AckError,
  ErrorCode: ErrorCodeWord,
  Id,
  Timestamp,
};
for (const [id, schema] of Object.entries(NAMED)) NAMES.add(schema, { id });

/** Depth aside, which JSON Schema cannot count: see the limits. */
const KEY = "^(?!(?:__proto__|constructor|prototype|_bsontype)$)(?!\\$)[^.\\u0000]*$";
NAMES.add(Metadata, {
  id: "Metadata",
  wire: {
    type: "object",
    description: `JSON, at most ${DEFAULT_LIMITS.metadata_bytes} bytes and ${DEFAULT_LIMITS.depth} levels. In a change it is a JSON Merge Patch: a null deletes.`,
    maxProperties: DEFAULT_LIMITS.keys_per_object,
    propertyNames: { pattern: KEY },
    additionalProperties: true,
  },
});

NAMES.add(Whole, { wire: { type: "integer", minimum: 0, maximum: 999_999_999 } });
NAMES.add(PageParameters.limit, { wire: { type: "integer", minimum: 1, maximum: MAX_PAGE, default: DEFAULT_PAGE } });
NAMES.add(ProjectsLimit, {
  wire: { type: "integer", minimum: 1, maximum: MOST_PROJECTS, default: DEFAULT_PROJECTS },
});
NAMES.add(Time, { wire: { type: "string", format: "date-time" } });
