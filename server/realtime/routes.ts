import { ChangesPublish } from "../../shared/messages/changes-publish.ts";
import { Heartbeat } from "../../shared/messages/heartbeat.ts";
import { ProjectJoin } from "../../shared/messages/project-join.ts";
import { ProjectLeave } from "../../shared/messages/project-leave.ts";
import { ProjectSnapshot } from "../../shared/messages/project-snapshot.ts";
import { SessionClose } from "../../shared/messages/session-close.ts";
import { SessionOpen } from "../../shared/messages/session-open.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { type Route, route } from "./dispatch.ts";
import type { Routes } from "./gateway.ts";
import { takeHeartbeat } from "./handlers/heartbeat.ts";
import { type JoinProjectDeps, joinProject, leaveProject, pageSnapshot } from "./handlers/join-project.ts";
import { type OpenSessionDeps, openSession } from "./handlers/open-session.ts";
import { closeSession, type PublishChangesDeps, publishChanges } from "./handlers/publish-changes.ts";
import type { ViewerConnection } from "./viewer-connection.ts";

/** Every message a client may send, and its handler. */
export function createRoutes(deps: OpenSessionDeps & PublishChangesDeps & JoinProjectDeps): Routes {
  const agents = new Map<string, Route<AgentConnection>>([
    ["session:open", route(SessionOpen, (connection, message, info) => openSession(deps, connection, message, info))],
    [
      "changes:publish",
      route(ChangesPublish, (connection, message, info) => publishChanges(deps, connection, message, info)),
    ],
    [
      "session:close",
      route(SessionClose, (connection, message, info) => closeSession(deps, connection, message, info)),
    ],
    [
      "heartbeat",
      route(Heartbeat, (connection, message) => takeHeartbeat(deps.heartbeats, connection, message), {
        ackOptional: true,
      }),
    ],
  ]);
  const viewers = new Map<string, Route<ViewerConnection>>([
    ["project:join", route(ProjectJoin, (connection, message) => joinProject(deps, connection, message))],
    ["project:leave", route(ProjectLeave, (connection, message) => leaveProject(deps.rooms, connection, message))],
    ["project:snapshot", route(ProjectSnapshot, (_connection, message) => pageSnapshot(deps.snapshots, message))],
  ]);
  return { agents, viewers };
}
