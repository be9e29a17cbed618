import { type Agent, connectAgent } from "../../client/agent.ts";
import type { AgentSession } from "../../client/agent-session.ts";
import { StateHubError } from "../../client/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { HubAddress } from "../hub-address.ts";
import { badKey } from "../rest.ts";
import type { Ended } from "./child.ts";

export interface RunSession {
  readonly sessionId: string;
  readonly projectId: string;
  readonly machineId: string;
  readonly metadata: JsonObject;
  readonly parentSessionId?: string;
  readonly environment?: string;
}

/** How often the last line is looked at; it travels with the next heartbeat anyway. */
const LOOK_EVERY_MS = 500;

/** Tells the hub about one run. The hub's troubles never become the program's: they are only said. */
export class RunReporter {
  readonly #agent: Agent;
  readonly #session: AgentSession;
  readonly #hub: HubAddress;
  readonly #say: (line: string) => void;
  readonly #look: NodeJS.Timeout;
  /** Of the last loss of the hub. */
  #cause: string | undefined;
  #lastLine = "";
  #isOver = false;

  constructor(hub: HubAddress, session: RunSession, lastLine: () => string | undefined, say: (line: string) => void) {
    this.#hub = hub;
    this.#say = say;
    this.#agent = connectAgent({ url: hub.url, key: hub.key, network: hub.network });
    this.#session = this.#agent.open(session);
    this.#session.on("fenced", ({ reason }) => {
      this.#isOver = true;
      this.#say(
        reason === "ended"
          ? `session ${session.sessionId} was ended by someone else; the command goes on unreported`
          : `session ${session.sessionId} was taken over by another agent; the command goes on unreported`,
      );
    });
    const stopped = (error: StateHubError) => {
      this.#isOver = true;
      this.#say(`not reported: ${this.#explain(error)}`);
    };
    // The session cannot be opened, or the hub does not take this agent at all.
    this.#session.on("state", (state) => {
      if (state.name === "over" && state.why === "failed" && state.error !== undefined) stopped(state.error);
    });
    this.#agent.on("state", (state) => {
      if (state.name === "waiting") this.#cause = state.cause.message;
      if (state.name === "stopped" && state.why === "failed" && state.error !== undefined) stopped(state.error);
    });
    this.#look = setInterval(() => this.#beat(lastLine()), LOOK_EVERY_MS);
    this.#look.unref();
  }

  /** Settles when the hub has the end, or when it is clear that it will not get it; says which. */
  async end(ended: Ended, waitMs: number): Promise<boolean> {
    clearInterval(this.#look);
    if (this.#isOver) return false;
    const didSucceed = ended.code === 0;
    const metadata: JsonObject = ended.signal === null ? { exit_code: ended.code ?? 0 } : { signal: ended.signal };
    try {
      const end = this.#session.close(didSucceed ? "COMPLETED" : "FAILED", metadata);
      await this.#agent.close({ timeoutMs: waitMs });
      await end;
      return true;
    } catch (error) {
      if (!this.#isOver && error instanceof StateHubError) this.#say(this.#explain(error));
      return false;
    }
  }

  /** Ends the wait for the hub. */
  giveUp(): void {
    this.#agent.disconnect();
  }

  #beat(lastLine: string | undefined): void {
    if (lastLine === undefined || lastLine === this.#lastLine) return;
    this.#lastLine = lastLine;
    this.#session.beat({ activity: lastLine });
  }

  #explain(error: StateHubError): string {
    const { sessionId } = this.#session;
    switch (error.code) {
      case "UNAUTHENTICATED":
        return badKey(this.#hub);
      case "ALREADY_OWNED":
        return `session ${sessionId} belongs to another agent that is alive; choose another --session`;
      case "INVALID_TRANSITION":
        return `session ${sessionId} has already ended; choose another --session`;
      case "TIMEOUT":
        return this.#session.current === undefined
          ? `not reported: ${this.#cause ?? `no hub answered at ${this.#hub.url}`}; the hub knows nothing of session ${sessionId}`
          : `the end of session ${sessionId} was not delivered: the hub at ${this.#hub.url} did not answer; it will show as lost`;
      case "CLOSED":
        return `the end of session ${sessionId} was not delivered: interrupted while waiting for the hub`;
      default:
        return `${error.message} (${error.code})`;
    }
  }
}
