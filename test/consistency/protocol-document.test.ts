import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SESSION_TRANSITIONS } from "../../server/domain/session.ts";
import { TASK_TRANSITIONS } from "../../server/domain/task.ts";
import { ERRORS } from "../../shared/errors.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import { ROOT, readText, tableRows } from "../support/documents.ts";

const PROTOCOL = readText("docs", "PROTOCOL.md");

const unquoted = (cell = "") => cell.replaceAll("`", "").trim();

describe("docs/PROTOCOL.md says what the code does", () => {
  test("[L1] limits and their values", () => {
    const rows = tableRows(PROTOCOL, "name", "default", "when it is passed");
    const told = Object.fromEntries(
      rows.map(([name, text = ""]) => {
        const [, digits = "", unit] = /^([\d,]+)( MiB)?/.exec(text) ?? [];
        return [unquoted(name), Number(digits.replaceAll(",", "")) * (unit === undefined ? 1 : 1024 * 1024)];
      }),
    );
    expect(told).toEqual(DEFAULT_LIMITS);
  });

  test("[E1] error codes, their HTTP status and retryable", () => {
    const told = tableRows(PROTOCOL, "code", "HTTP", "retryable").map(([code, status, retryable = ""]) => [
      unquoted(code),
      Number(status),
      retryable.startsWith("yes"),
    ]);
    expect(told).toEqual(Object.entries(ERRORS).map(([code, row]) => [code, row.status, row.retryable]));
  });

  test.each([
    ["[S1] session statuses", "ACTIVE", SESSION_TRANSITIONS],
    ["[S2] task statuses", "PENDING", TASK_TRANSITIONS],
  ] as const)("%s, every from and to", (_title, first, transitions) => {
    const head = cellsOfHead(first);
    const told: Record<string, string[]> = {};
    for (const [from = "", ...row] of tableRows(PROTOCOL, "from \\ to", first)) {
      if (from !== "(new)") told[from] = head.filter((_to, index) => row[index]?.startsWith("yes"));
    }
    expect(told).toEqual(transitions);
  });

  test("names of messages, up and down, are those of the types", () => {
    const headings = [...PROTOCOL.matchAll(/^## [A-Z] · `([^`]+)`$/gm)].map(([, name]) => name);
    const inUp = namesIn("up.ts");
    for (const name of headings) expect(inUp).toContain(name);
    for (const name of [...inUp, ...namesIn("down.ts")]) expect(PROTOCOL).toMatch(new RegExp(`\`${name}[\` ]`));
  });
});

describe("rules", () => {
  const defined = [...PROTOCOL.matchAll(/^- \[([A-Z]\d+)\]/gm)].map(([, id]) => id as string);

  test("each id is given once, and numbers of a prefix leave no accidental hole", () => {
    expect(new Set(defined).size).toBe(defined.length);
    for (const prefix of new Set(defined.map((id) => id.charAt(0)))) {
      const numbers = defined.filter((id) => id.startsWith(prefix)).map((id) => Number(id.slice(1)));
      // Rules stand where their matter is, whenever they came.
      numbers.sort((a, b) => a - b);
      expect(numbers, prefix).toEqual(numbers.map((_, index) => index + 1));
    }
  });

  test("each id that the document refers to is there", () => {
    const referred = new Set([...PROTOCOL.matchAll(/\[([A-Z]\d+)\]/g)].map(([, id]) => id as string));
    expect([...referred].filter((id) => !defined.includes(id))).toEqual([]);
  });

  test("each id in the title of a test is there", () => {
    const unknown = testFiles(join(ROOT, "test")).flatMap((path) =>
      [...readText(path).matchAll(/\[([A-Z]\d{1,3})\]/g)]
        .map(([, id]) => id as string)
        .filter((id) => !defined.includes(id))
        .map((id) => `${path}: ${id}`),
    );
    expect(unknown).toEqual([]);
  });
});

function cellsOfHead(first: string): string[] {
  const line = PROTOCOL.split("\n").find((text) => text.startsWith(`| from \\ to | ${first} `)) ?? "";
  return line
    .split("|")
    .slice(2, -1)
    .map((cell) => cell.trim());
}

/** Keys of the interfaces in a file of shared/messages: events and their handlers. */
function namesIn(file: string): string[] {
  const text = readText("shared", "messages", file);
  return [...text.matchAll(/^ {2}"?([a-z:]+)"?: \(message/gm)].map(([, name]) => name as string);
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1));
}
