import type { mongo } from "mongoose";
import { within } from "../patience.ts";

const PING_TIMEOUT_MS = 1_500;

/** Whether MongoDB answers, how fast, and how its clock stands to ours. */
export class MongoHealth {
  readonly #db: mongo.Db;

  constructor(db: mongo.Db) {
    this.#db = db;
  }

  /** Milliseconds of a round trip to the primary, or undefined when it does not answer. */
  async ping(): Promise<number | undefined> {
    const start = performance.now();
    try {
      await within(PING_TIMEOUT_MS, this.#db.command({ ping: 1 }));
      return Math.round((performance.now() - start) * 10) / 10;
    } catch {
      return undefined;
    }
  }

  /** The database's time minus this machine's, milliseconds, halfway through the round trip. */
  async clockOffset(): Promise<number> {
    const before = Date.now();
    const { localTime } = (await within(PING_TIMEOUT_MS, this.#db.command({ hello: 1 }))) as { localTime: Date };
    return Math.round(localTime.getTime() - (before + Date.now()) / 2);
  }

  /** True for a mongod that is no replica set: durable, but without anything to fail over to. */
  async isStandalone(): Promise<boolean> {
    const hello = (await within(PING_TIMEOUT_MS, this.#db.command({ hello: 1 }))) as {
      setName?: string;
      msg?: string;
    };
    return hello.setName === undefined && hello.msg !== "isdbgrid";
  }
}
