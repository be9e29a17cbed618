import { round, type Verdict } from "../support/report.ts";

export const MIB = 1024 * 1024;

export function atMost(claim: string, value: number, target: number, unit: string): Verdict {
  const measured = Number.isFinite(value) ? `${round(value)} ${unit}` : "never";
  return { claim, target: `≤ ${target} ${unit}`, measured, isMet: value <= target };
}

/** That the trouble was really made: without it nothing was tested. */
export function happened(claim: string, count: number): Verdict {
  return { claim, target: "≥ 1", measured: String(count), isMet: count >= 1 };
}
