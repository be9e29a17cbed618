/** What MongoDB says of itself. */
export interface ServerFacts {
  readonly version: string;
  readonly kind: "standalone" | "replica set" | "sharded cluster";
  /** Members that hold data, and those that only vote. Of a replica set. */
  readonly members: number;
  readonly arbiters: number;
  /** How long ago what a majority has was the newest, milliseconds of the primary's own clock; where it tells. */
  readonly majorityLagMs: number | undefined;
}

/** An entry without its changes. */
export interface EntryOutline {
  readonly from_seq: number;
  readonly to_seq: number;
  readonly epoch: string;
}

/** Reads that only the doctor needs: past everything that the hub keeps in memory, and each of them bounded. */
export interface Inspection {
  readServer(): Promise<ServerFacts>;
  /** Indexes that this release uses and the database does not have, as people read them. */
  findMissingIndexes(): Promise<string[]>;
  /** Projects that have a log or a document, by id, only those after the given one, at most `limit`. */
  listProjectIds(afterId: string | undefined, limit: number): Promise<string[]>;
  /** Entries with from_seq < `beforeSeq` (undefined: all), the newest first, at most `limit`. */
  readOutlinesBack(projectId: string, beforeSeq: number | undefined, limit: number): Promise<EntryOutline[]>;
  /** Sessions that the last entries touched, so many of both at most. */
  findRecentSessions(projectId: string, entries: number, limit: number): Promise<string[]>;
}
