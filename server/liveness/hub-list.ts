import type { HubView } from "../../shared/rest/operations.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Clock, HubRecords, KeyUse, KeyUses } from "../ports.ts";
import type { OtherHubs } from "./other-hubs.ts";

interface Options {
  readonly hubId: string;
  readonly hubRecords: HubRecords;
  readonly keyUses: Pick<KeyUses, "read">;
  readonly otherHubs: Pick<OtherHubs, "known" | "stateOf">;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
}

/**
 * Every hub process of this database, by hub_id: those that have a row, and those that only sessions still name. Whether one
 * lives is what the watch of their rows has seen; nothing is asked of them. Rejects when MongoDB does not answer.
 */
export async function listHubs(options: Options): Promise<HubView[]> {
  const { hubId, hubRecords, keyUses, otherHubs, clock, bounds } = options;
  const toldSince = new Date(clock.now() - bounds.keyUseStaleMs).toISOString();
  const [starts, sessions, uses] = await Promise.all([
    hubRecords.readStarts(bounds.hubRows),
    hubRecords.countSessions(),
    keyUses.read(toldSince),
  ]);
  const ids = new Set([hubId, ...starts.keys(), ...otherHubs.known]);
  return [...ids].toSorted().map((id) => {
    const state = otherHubs.stateOf(id);
    const startedAt = starts.get(id);
    const told = state === "dead" || state === "gone" ? undefined : uses.get(id);
    return {
      hub_id: id,
      self: id === hubId,
      state,
      ...(startedAt === undefined ? {} : { started_at: startedAt }),
      ...(sessions === undefined ? {} : { sessions: sessions.get(id) ?? 0 }),
      ...(told === undefined ? {} : { key_connections: connectionsOf(told) }),
    };
  });
}

function connectionsOf(uses: readonly KeyUse[]): number {
  return uses.reduce((sum, { connections }) => sum + connections, 0);
}
