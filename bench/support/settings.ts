import { parseArgs } from "node:util";

/** What every bench takes on its command line; each adds its own. */
export interface BenchSettings {
  /** Runs of both sides next to each other; the figure is the median over the pairs. */
  readonly pairs: number;
  /** Length of each measured window. */
  readonly seconds: number;
  /** Load before each window: lets V8 compile, pools fill, and the journal be allocated. */
  readonly warmupSeconds: number;
  /** Folder for the results. */
  readonly out: string;
}

const COMMON = {
  pairs: { type: "string" },
  seconds: { type: "string" },
  warmup: { type: "string" },
  out: { type: "string" },
} as const;

/**
 * Reads `--pairs N --seconds S --warmup S --out DIR` and lists of whole numbers such as `--agents 200,1000`, whose
 * defaults are given by name.
 */
export function readSettings<K extends string>(
  defaults: Omit<BenchSettings, "out">,
  lists: Readonly<Record<K, readonly number[]>>,
): BenchSettings & Readonly<Record<K, readonly number[]>> {
  const listOptions = Object.fromEntries(Object.keys(lists).map((name) => [name, { type: "string" } as const]));
  const { values } = parseArgs({ options: { ...COMMON, ...listOptions } });
  const number = (name: string, fallback: number) => {
    const text = (values as Record<string, string | undefined>)[name];
    return text === undefined ? fallback : positive(name, text);
  };
  const read = Object.entries<readonly number[]>(lists).map(([name, fallback]) => {
    const text = (values as Record<string, string | undefined>)[name];
    return [name, text === undefined ? fallback : text.split(",").map((part) => positive(name, part))] as const;
  });
  return {
    pairs: number("pairs", defaults.pairs),
    seconds: number("seconds", defaults.seconds),
    warmupSeconds: number("warmup", defaults.warmupSeconds),
    out: values.out ?? "bench/results",
    ...(Object.fromEntries(read) as Record<K, readonly number[]>),
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} must be a number above 0, not "${text}"`);
  return value;
}
