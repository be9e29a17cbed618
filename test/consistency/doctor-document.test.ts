import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { INSTALLATION_CHECKS, PROJECT_CHECKS } from "../../shared/rest/doctor.ts";
import { ROOT, readText } from "../support/documents.ts";

const PAGE = readText("docs", "DOCTOR.md");

test("[R82] docs/DOCTOR.md has a runbook for each check, and PROTOCOL.md names it", () => {
  const headings = [...PAGE.matchAll(/^## (.+)$/gm)].map(([, name]) => name);
  expect(headings.toSorted()).toEqual([...INSTALLATION_CHECKS, ...PROJECT_CHECKS].toSorted());
  const rule = /^- \[R82\] .*$/m.exec(readText("docs", "PROTOCOL.md"))?.[0] ?? "";
  for (const name of headings) expect(rule).toContain(`\`${name}\``);
});

test("whatever a finding sends people to is there", () => {
  const folder = join(ROOT, "server", "doctor");
  const sent = readdirSync(folder).flatMap((file) => [
    ...readText("server", "doctor", file).matchAll(/docs\/DOCTOR\.md, (\w+)/g),
  ]);
  expect(sent.length).toBeGreaterThan(10);
  for (const [, name] of sent) expect(PAGE).toContain(`\n## ${name}\n`);
});
