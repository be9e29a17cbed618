import type { Random } from "../../test/support/random.ts";
import type { Verdict } from "../support/report.ts";
import type { History } from "./check-history.ts";
import type { Crowd, Rest } from "./crowd.ts";
import type { Fleet, FleetOptions } from "./fleet.ts";
import type { Gate } from "./gate.ts";
import type { Gauge } from "./gauge.ts";

export interface Settings {
  /** How long the trouble lasts. */
  readonly seconds: number;
  readonly agents: number;
  readonly projects: number;
  /** Of each project, on each hub. */
  readonly viewersPerProject: number;
  /** Asked of all agents together; less when hubs cannot do it. */
  readonly changesPerSecond: number;
  readonly seed: number;
}

/** What a scenario has to work with. */
export interface Scene {
  readonly settings: Settings;
  readonly fleet: Fleet;
  readonly crowd: Crowd;
  readonly gauge: Gauge;
  readonly random: Random;
  /** Holds agents back, where the scenario rests at it. */
  readonly gate: Gate;
}

export interface Findings {
  /** Figures of this scenario, beside those of all. */
  readonly rows: readonly (readonly [figure: string, value: string | number])[];
  readonly verdicts: readonly Verdict[];
}

export interface Scenario {
  readonly name: string;
  readonly question: string;
  readonly defaults: Partial<Omit<Settings, "seed">> & { readonly seconds: number };
  readonly fleet: Omit<FleetOptions, "env"> & { readonly env?: FleetOptions["env"] };
  /** Whether clients go to another hub when theirs is gone. */
  readonly moves: boolean;
  /** How agents pause; by default as the rate asks. */
  readonly rest?: (settings: Settings, gate: Gate) => Rest;
  /** Makes the trouble while the crowd works, and returns how to judge what became of it. */
  trouble(scene: Scene): Promise<(history: History) => Findings>;
}

const DEFAULTS: Omit<Settings, "seconds" | "seed"> = {
  agents: 40,
  projects: 4,
  viewersPerProject: 1,
  changesPerSecond: 500,
};

export function settingsOf(scenario: Scenario, given: Partial<Settings> & { readonly seed: number }): Settings {
  return { ...DEFAULTS, ...scenario.defaults, ...given };
}
