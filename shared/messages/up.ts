import type { AckCallback } from "./ack.ts";
import type { AuthRefresh, AuthRefreshed } from "./auth-refresh.ts";
import type { ChangesPublish, Published } from "./changes-publish.ts";
import type { Heartbeat, HeartbeatTaken } from "./heartbeat.ts";
import type { ProjectJoin, ProjectJoined } from "./project-join.ts";
import type { ProjectLeave } from "./project-leave.ts";
import type { ProjectSnapshot, SnapshotPage } from "./project-snapshot.ts";
import type { SessionClose } from "./session-close.ts";
import type { SessionOpened, SessionOpenInput } from "./session-open.ts";

/** Everything an agent sends. */
export interface AgentToHub {
  "session:open": (message: SessionOpenInput, ack: AckCallback<SessionOpened>) => void;
  "changes:publish": (message: ChangesPublish, ack: AckCallback<Published>) => void;
  "session:close": (message: SessionClose, ack: AckCallback<Published>) => void;
  "auth:refresh": (message: AuthRefresh, ack: AckCallback<AuthRefreshed>) => void;
  heartbeat: (message: Heartbeat, ack?: AckCallback<HeartbeatTaken>) => void;
}

/** Everything a viewer sends. */
export interface ViewerToHub {
  "project:join": (message: Partial<ProjectJoin> & { project_id: string }, ack: AckCallback<ProjectJoined>) => void;
  "project:snapshot": (message: ProjectSnapshot, ack: AckCallback<SnapshotPage>) => void;
  "auth:refresh": (message: AuthRefresh, ack: AckCallback<AuthRefreshed>) => void;
  "project:leave": (message: ProjectLeave, ack: AckCallback<object>) => void;
}
