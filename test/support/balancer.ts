import { TcpBalancer } from "../../scripts/cluster/tcp-balancer.ts";
import type { Stage } from "./test-hub.ts";

/** A TCP balancer as stands in front of a fleet: each connection goes to the next hub in turn that accepts it. */
export class Balancer {
  readonly url: string;
  /** Ports of the hubs in rotation. */
  readonly ports: Set<number>;

  static async start(stage: Stage, hubs: readonly { readonly port: number }[]): Promise<Balancer> {
    const ports = new Set(hubs.map((hub) => hub.port));
    let turn = 0;
    const candidates = () => {
      turn += 1;
      const all = [...ports];
      return all.map((_, index) => all[(turn + index) % all.length] as number);
    };
    const balancer = stage.add(await TcpBalancer.listen({ port: 0, candidates }), (open) => open.close());
    return new Balancer(`http://127.0.0.1:${balancer.port}`, ports);
  }

  constructor(url: string, ports: Set<number>) {
    this.url = url;
    this.ports = ports;
  }
}
