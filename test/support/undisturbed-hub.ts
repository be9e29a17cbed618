import { afterAll, afterEach, beforeAll } from "vitest";
import { eventually } from "./eventually.ts";
import { type Namespace, type RawSocket, rawJoined } from "./raw-socket.ts";
import { Stage, type TestHub } from "./test-hub.ts";
import { agent, type Json, viewer, type Wire } from "./wire.ts";

/**
 * One hub with a well-behaved agent and viewer for the whole test file. After each test they are served as ever,
 * whatever it has sent.
 */
export class UndisturbedHub {
  /** What one test opens; ends with it. */
  readonly stage = new Stage();
  readonly #lasting = new Stage();
  readonly #connectTimeoutMs: number;
  #hub: TestHub | undefined;
  #bystander: Wire | undefined;
  #follower: Wire | undefined;
  #op = 0;

  /** Call at the top of a test file. */
  constructor({ connectTimeoutMs }: { connectTimeoutMs: number }) {
    this.#connectTimeoutMs = connectTimeoutMs;
    beforeAll(() => this.#start());
    afterEach(async () => {
      await this.stage.clear();
      await this.expectUndisturbed();
    });
    afterAll(() => this.#lasting.clear());
  }

  get hub(): TestHub {
    if (this.#hub === undefined) throw new Error("the hub runs from beforeAll on");
    return this.#hub;
  }

  raw(namespace: Namespace, auth?: object): Promise<RawSocket> {
    return rawJoined(this.stage, this.hub, namespace, auth);
  }

  async sessionsOf(projectId: string): Promise<Json[]> {
    return (await (await viewer(this.stage, this.hub)).askOk("project:join", { project_id: projectId })).sessions;
  }

  async #start(): Promise<void> {
    const overrides = { bounds: { connectTimeoutMs: this.#connectTimeoutMs } };
    // Whole fields of bad joins are asked at once.
    this.#hub = await this.#lasting.hub({ overrides, env: { MAX_JOINS_PER_SECOND: "0" } });
    this.#bystander = await agent(this.#lasting, this.#hub, "bystander");
    await this.#bystander.askOk("session:open", { session_id: "bystander", project_id: "b", machine_id: "m" });
    this.#follower = await viewer(this.#lasting, this.#hub);
    await this.#follower.askOk("project:join", { project_id: "b" });
  }

  /** The hub lives, and others are served as ever. */
  async expectUndisturbed(): Promise<void> {
    this.#op += 1;
    const changes = [{ kind: "session", metadata: { op: this.#op } }];
    const message = { session_id: "bystander", incarnation: 1, op: this.#op, changes };
    const answer = await this.#bystander?.askOk("changes:publish", message);
    await eventually("the follower sees it", () => this.#follower?.messages("changes").at(-1)?.to_seq === answer?.seq);
  }
}
