import type { StateHubError } from "./errors.ts";

/**
 * Where a client stands with its hub.
 *
 *            linked            opened
 * connecting ──────▶ opening ─────────▶ ready
 *   ▲   │               │  ▲  reopen     │ │
 *   │   │ lost          │  └─────────────┘ │
 *   │   ▼      lost     │       lost       │        stop, from anywhere
 *   └─ waiting ◀────────┴──────────────────┘        ──────────────────▶ stopped
 *  due
 *
 * `attempt` counts failures since the last `ready`; the pause before the next try grows with it.
 */
export type ConnectionState =
  /** Waits for the transport and the hub's acceptance of the key. */
  | { readonly name: "connecting"; readonly attempt: number }
  /** Linked; an agent opens its sessions, a viewer joins its project. */
  | { readonly name: "opening"; readonly attempt: number }
  /** The sessions are open, or the mirror is in step. */
  | { readonly name: "ready" }
  /** The hub is away, or asked for a pause; tried again by itself. */
  | { readonly name: "waiting"; readonly attempt: number; readonly cause: StateHubError }
  /** For good: closed by its user, or refused for a reason that trying again does not mend. */
  | { readonly name: "stopped"; readonly why: StopReason; readonly error?: StateHubError };

export type StopReason = "closed" | "failed";

export type ConnectionEvent =
  | { readonly type: "linked" }
  | { readonly type: "opened" }
  | { readonly type: "reopen" }
  | { readonly type: "lost"; readonly cause: StateHubError }
  | { readonly type: "due" }
  | { readonly type: "stop"; readonly why: StopReason; readonly error?: StateHubError };

export const INITIAL: ConnectionState = { name: "connecting", attempt: 0 };

/** The state after an event; the very same object when the event means nothing there. */
export function nextState(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  if (state.name === "stopped") return state;
  switch (event.type) {
    case "stop":
      return { name: "stopped", why: event.why, ...(event.error === undefined ? {} : { error: event.error }) };
    case "linked":
      return state.name === "connecting" ? { name: "opening", attempt: state.attempt } : state;
    case "opened":
      return state.name === "opening" ? { name: "ready" } : state;
    case "reopen":
      return state.name === "ready" ? { name: "opening", attempt: 0 } : state;
    case "lost":
      if (state.name === "waiting") return state;
      return { name: "waiting", attempt: state.name === "ready" ? 1 : state.attempt + 1, cause: event.cause };
    case "due":
      return state.name === "waiting" ? { name: "connecting", attempt: state.attempt } : state;
  }
}
