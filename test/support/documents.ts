import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "..", "..");

export function readText(...path: readonly string[]): string {
  return readFileSync(join(ROOT, ...path), "utf8");
}

/** Rows of the table whose head begins with these cells, each row as its cells. */
export function tableRows(markdown: string, ...head: readonly string[]): string[][] {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => head.every((cell, index) => cells(line)[index] === cell));
  if (start === -1) throw new Error(`no table ${head.join(" | ")}`);
  const rows: string[][] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(cells(line));
  }
  return rows;
}

function cells(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}
