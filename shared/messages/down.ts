import type { ChangesFrame, HeartbeatsFrame, ModeFrame, PositionFrame, ProjectReset } from "./frames.ts";
import type { Lease } from "./lease.ts";
import type { Closing, Drain, Expiring, Fenced, SessionChanged, Welcome } from "./notices.ts";

/** Everything a hub sends to an agent. */
export interface HubToAgent {
  welcome: (message: Welcome) => void;
  closing: (message: Closing) => void;
  expiring: (message: Expiring) => void;
  lease: (message: Lease) => void;
  fenced: (message: Fenced) => void;
  session: (message: SessionChanged) => void;
  drain: (message: Drain) => void;
}

/** Everything a hub sends to a viewer. */
export interface HubToViewer {
  welcome: (message: Welcome) => void;
  closing: (message: Closing) => void;
  expiring: (message: Expiring) => void;
  changes: (message: ChangesFrame) => void;
  heartbeats: (message: HeartbeatsFrame) => void;
  position: (message: PositionFrame) => void;
  "project:reset": (message: ProjectReset) => void;
  mode: (message: ModeFrame) => void;
  drain: (message: Drain) => void;
}
