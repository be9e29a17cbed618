import { mongo } from "mongoose";
import type { EntryDocument, SessionDocument, TaskDocument } from "../../server/mongo/codec.ts";
import type { Stage } from "./test-hub.ts";

/** What MongoDB really holds, read past the hub. */
export class Database {
  readonly #client: mongo.MongoClient;

  constructor(client: mongo.MongoClient) {
    this.#client = client;
  }

  get db(): mongo.Db {
    return this.#client.db();
  }

  entries(projectId: string): Promise<EntryDocument[]> {
    return this.db.collection<EntryDocument>("log").find({ "_id.p": projectId }).sort({ "_id.s": 1 }).toArray();
  }

  session(projectId: string, sessionId: string): Promise<SessionDocument | null> {
    return this.db.collection<SessionDocument>("sessions").findOne({ _id: `${projectId}/${sessionId}` });
  }

  tasks(projectId: string): Promise<TaskDocument[]> {
    return this.db.collection<TaskDocument>("tasks").find({ project_id: projectId }).sort({ _id: 1 }).toArray();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

export async function openDatabase(stage: Stage, uri: string): Promise<Database> {
  const database = new Database(await mongo.MongoClient.connect(uri));
  return stage.add(database, (open) => open.close());
}
