import type { z } from "zod";
import { AuthRefresh } from "../../shared/messages/auth-refresh.ts";
import { ChangesPublish } from "../../shared/messages/changes-publish.ts";
import { Heartbeat } from "../../shared/messages/heartbeat.ts";
import { ProjectJoin } from "../../shared/messages/project-join.ts";
import { ProjectLeave } from "../../shared/messages/project-leave.ts";
import { ProjectSnapshot } from "../../shared/messages/project-snapshot.ts";
import { SessionClose } from "../../shared/messages/session-close.ts";
import { SessionOpen } from "../../shared/messages/session-open.ts";
import { mayRead, mayWrite, NOT_AUTHORIZED } from "../domain/access.ts";
import { refused } from "../writer/outcome.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { type Handled, type Route, type RouteOptions, route } from "./dispatch.ts";
import type { Routes } from "./gateway.ts";
import { takeHeartbeat } from "./handlers/heartbeat.ts";
import { type JoinProjectDeps, joinProject, leaveProject, pageSnapshot } from "./handlers/join-project.ts";
import { type OpenSessionDeps, openSession } from "./handlers/open-session.ts";
import { closeSession, type PublishChangesDeps, publishChanges } from "./handlers/publish-changes.ts";
import { refreshAuth } from "./handlers/refresh-auth.ts";
import type { ViewerConnection } from "./viewer-connection.ts";

type RouteDeps = OpenSessionDeps &
  PublishChangesDeps &
  JoinProjectDeps & { readonly keys: Parameters<typeof refreshAuth>[0] };

/** What is written to the log, or may be, counts as a publish. */
const PUBLISHES: RouteOptions = { rate: "publishes" };
const JOINS: RouteOptions = { rate: "joins" };

/** Every message a client may send, and its handler. A publish is about a session that was opened by this right. */
export function createRoutes(deps: RouteDeps): Routes {
  const refresh = route(AuthRefresh, (connection: AgentConnection | ViewerConnection, message) =>
    refreshAuth(deps.keys, connection, message),
  );
  const agents = new Map<string, Route<AgentConnection>>([
    [
      "session:open",
      route(
        SessionOpen,
        (connection, message, info) =>
          mayWrite(connection.peer.principal, message.project_id)
            ? openSession(deps, connection, message, info)
            : refused(NOT_AUTHORIZED),
        PUBLISHES,
      ),
    ],
    [
      "changes:publish",
      route(ChangesPublish, (connection, message, info) => publishChanges(deps, connection, message, info), PUBLISHES),
    ],
    [
      "session:close",
      route(SessionClose, (connection, message, info) => closeSession(deps, connection, message, info), PUBLISHES),
    ],
    [
      "heartbeat",
      route(Heartbeat, (connection, message) => takeHeartbeat(deps.heartbeats, connection, message), {
        ackOptional: true,
      }),
    ],
    ["auth:refresh", refresh],
  ]);
  const viewers = new Map<string, Route<ViewerConnection>>([
    ["project:join", inProject(ProjectJoin, (connection, message) => joinProject(deps, connection, message), JOINS)],
    ["project:leave", inProject(ProjectLeave, (connection, message) => leaveProject(deps.rooms, connection, message))],
    ["project:snapshot", inProject(ProjectSnapshot, (_connection, message) => pageSnapshot(deps.snapshots, message))],
    ["auth:refresh", refresh],
  ]);
  return { agents, viewers };
}

/** A request about a project that the viewer's key has to reach. */
function inProject<S extends z.ZodType<{ readonly project_id: string }>>(
  schema: S,
  handle: (connection: ViewerConnection, message: z.infer<S>) => Promise<Handled> | Handled,
  options: RouteOptions = {},
): Route<ViewerConnection> {
  return route(
    schema,
    (connection, message) =>
      mayRead(connection.peer.principal, message.project_id) ? handle(connection, message) : refused(NOT_AUTHORIZED),
    options,
  );
}
