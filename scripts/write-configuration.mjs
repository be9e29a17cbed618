// Writes docs/CONFIGURATION.md from the settings in server/config.ts: `node scripts/write-configuration.mjs`, with
// `--print` to stdout instead.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { SETTINGS } from "../server/config.ts";

const HEAD = `# Configuration

Every setting is an environment variable, read and checked once, at the start; a hub with a wrong one does not start and
names it. An empty variable counts as unset. With nothing set, \`npm start\` runs a whole hub on its own MongoDB.

This page is made from the settings in \`server/config.ts\` by \`node scripts/write-configuration.mjs\`.

| variable | default | values | what it is |
| --- | --- | --- | --- |
`;

const rows = Object.entries(SETTINGS).map(([name, { schema, prose, secret }]) => {
  const text = secret ? `${prose} Never shown or logged.` : prose;
  return `| \`${name}\` | ${defaultOf(schema)} | ${valuesOf(schema)} | ${inCell(text)} |\n`;
});

const page = HEAD + rows.join("");
if (process.argv.includes("--print")) process.stdout.write(page);
else writeFileSync(join(dirname(dirname(fileURLToPath(import.meta.url))), "docs", "CONFIGURATION.md"), page);

function defaultOf(schema) {
  const { data } = schema.safeParse(undefined);
  return data === undefined || (Array.isArray(data) && data.length === 0) ? "–" : `\`${data}\``;
}

function valuesOf(schema) {
  const { minimum, maximum, enum: words } = z.toJSONSchema(schema, { io: "output", unrepresentable: "any" });
  if (minimum !== undefined && maximum !== undefined) return `${grouped(minimum)} to ${grouped(maximum)}`;
  return words === undefined ? "" : words.map((word) => `\`${word}\``).join(", ");
}

function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A bar would end the cell. */
function inCell(text) {
  return text.replaceAll("|", "\\|");
}
