import { parseArgs } from "node:util";
import { account } from "./account.ts";
import { perform } from "./perform.ts";
import { type Scenario, type Settings, settingsOf } from "./scenario.ts";
import { cutSubscriptions } from "./scenarios/cut-subscriptions.ts";
import { drainHubs } from "./scenarios/drain-hubs.ts";
import { hubStopped } from "./scenarios/hub-stopped.ts";
import { killHub } from "./scenarios/kill-hub.ts";
import { killHubs } from "./scenarios/kill-hubs.ts";
import { lastFrame } from "./scenarios/last-frame.ts";
import { redisDown, redisStopped } from "./scenarios/redis-away.ts";
import { redisDeaf } from "./scenarios/redis-deaf.ts";

/** Trouble for real hubs under load; agents and viewers follow the protocol, and at the end the log judges. */
const SCENARIOS: readonly Scenario[] = [
  killHub,
  killHubs,
  drainHubs,
  redisDown,
  redisStopped,
  redisDeaf,
  lastFrame,
  cutSubscriptions,
  hubStopped,
];

const OPTIONS = {
  seconds: "how long the trouble lasts; load before and after it comes on top",
  agents: "agents in all, spread over projects and hubs",
  projects: "projects",
  viewers: "viewers of each project on each hub",
  rate: "changes a second asked of all agents together",
  seed: "of everything that is random; printed, so that a run can be repeated",
} as const;

const { values, positionals } = readArguments();
if (values.help) {
  console.log(help());
  process.exit(0);
}
const chosen = positionals.length === 0 ? [killHub] : positionals.flatMap(find);
const given = readSettings();
const failed: string[] = [];
for (const scenario of chosen) {
  const settings = settingsOf(scenario, given);
  console.error(`${scenario.name}: seed ${settings.seed}, ${settings.seconds} s of trouble`);
  const course = await perform(scenario, settings);
  const verdicts = account(scenario, settings, course, { out: values.out, isJson: values.json });
  const missed = verdicts.filter(({ isMet }) => !isMet);
  for (const { claim, measured } of missed) console.error(`NOT MET: ${claim}: ${measured}`);
  if (missed.length > 0) failed.push(`${scenario.name} --seed ${settings.seed}`);
}
console.error(failed.length === 0 ? "all met" : `failed: ${failed.join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        ...({ seconds: { type: "string" }, agents: { type: "string" }, projects: { type: "string" } } as const),
        ...({ viewers: { type: "string" }, rate: { type: "string" }, seed: { type: "string" } } as const),
        out: { type: "string", default: "bench/results" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function readSettings(): Partial<Settings> & { readonly seed: number } {
  const seed = numberOf("seed") ?? Date.now() % 2 ** 31;
  const read = {
    seconds: numberOf("seconds"),
    agents: numberOf("agents"),
    projects: numberOf("projects"),
    viewersPerProject: numberOf("viewers"),
    changesPerSecond: numberOf("rate"),
  };
  return { seed, ...Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined)) };
}

function numberOf(name: keyof typeof OPTIONS): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,9}$/.test(text)) refuse(`--${name} must be a whole number above 0, not "${text}"`);
  return Number(text);
}

function find(name: string): readonly Scenario[] {
  if (name === "all") return SCENARIOS;
  const scenario = SCENARIOS.find((one) => one.name === name);
  return scenario === undefined ? refuse(`there is no scenario "${name}"`) : [scenario];
}

function refuse(problem: string): never {
  console.error(`${problem}\n\n${help()}`);
  process.exit(2);
}

function help(): string {
  const width = Math.max(...SCENARIOS.map(({ name }) => name.length));
  const scenarios = SCENARIOS.map(
    ({ name, defaults, question }) => `  ${name.padEnd(width)}  ${String(defaults.seconds).padStart(3)} s  ${question}`,
  );
  const options = Object.entries(OPTIONS).map(([name, prose]) => `  --${name} N`.padEnd(16) + prose);
  return [
    "npm run torture -- [SCENARIO …] [options]",
    "",
    "Scenarios, with the default length of the trouble; `all` runs them in turn, none means kill-hub:",
    ...scenarios,
    "",
    "Options:",
    ...options,
    "  --out DIR     for the results (bench/results)",
    "  --json        prints the report as JSON",
    "",
    "Exit code 0: all that was asked is met; 1: something is not, the report says what; 2: called wrongly.",
  ].join("\n");
}
