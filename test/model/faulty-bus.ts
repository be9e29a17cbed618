import type { Entry } from "../../server/domain/records.ts";
import type { FanOut } from "../../server/ports.ts";
import type { Wire } from "./faulty-ports.ts";

interface Hearer {
  readonly wire: Wire;
  readonly hear: (entry: Entry, bytes: number) => void;
}

/** Between the hubs of a simulation: what is said gets lost, doubled and late, and so out of order. */
export class FaultyBus {
  readonly #hearers = new Set<Hearer>();

  /** One hub's end of it, which falls silent with its wire. Claims to be live, so that hubs seldom look for themselves. */
  connect(wire: Wire): FanOut {
    const own = new Set<Hearer>();
    return {
      state: { mode: "live" },
      trouble: undefined,
      counts: { received: 0, garbage: 0, dropped: 0, pending_bytes: 0 },
      publish: (entry) => {
        for (const hearer of this.#hearers) if (!own.has(hearer)) this.#say(wire, hearer, entry);
      },
      onEntry: (hear) => {
        const hearer = { wire, hear };
        own.add(hearer);
        this.#hearers.add(hearer);
      },
      onDoubt() {},
      onState() {},
      async start() {},
      async stop() {},
    };
  }

  #say(from: Wire, to: Hearer, entry: Entry): void {
    if (from.isCut || from.chance(from.faults.busLoses)) return;
    for (let copies = from.chance(from.faults.busDoubles) ? 2 : 1; copies > 0; copies--) {
      void from.sleepUpTo(from.faults.busDelayMs + to.wire.faults.busDelayMs).then(() => {
        if (to.wire.isCut) this.#hearers.delete(to);
        else to.hear(structuredClone(entry), JSON.stringify(entry).length);
      });
    }
  }
}
