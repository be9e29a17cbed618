import type { ProjectFollower } from "../../client/follower.ts";

/** How long a follower was out of step, each time that it lost its hub. */
export class BlindTimes {
  readonly ms: number[] = [];
  #since: number | undefined;

  constructor(follower: ProjectFollower) {
    follower.on("state", ({ name }) => {
      if (name !== "ready") this.#since ??= performance.now();
    });
    follower.on("synced", () => {
      if (this.#since !== undefined) this.ms.push(Math.round(performance.now() - this.#since));
      this.#since = undefined;
    });
  }
}
