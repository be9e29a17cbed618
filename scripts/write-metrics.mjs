// Writes docs/METRICS.md from the table in server/observability/metrics/table.ts: `node scripts/write-metrics.mjs`, with
// `--print` to stdout instead.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { METRICS } from "../server/observability/metrics/table.ts";

const HEAD = `# Metrics

\`GET /metrics\` answers in the text format of Prometheus, with an operator's key, in every state of the hub:

\`\`\`yaml
scrape_configs:
  - job_name: state-hub
    authorization: { credentials_file: /run/secrets/state-hub-operator-key }
    static_configs: [{ targets: ["hub-1:3000", "hub-2:3000"] }]
\`\`\`

Each hub tells of itself alone; scrape all of them, not their balancer. Counters begin at the hub's start. No label holds
a project, a session, an agent, an address or a key, and of each label the number of values is bounded. Beside these the
process tells of itself under \`process_*\` and \`nodejs_*\`: CPU, memory, file descriptors, event loop, garbage collection.

Worth an alarm: \`statehub_mongodb_up == 0\`; \`statehub_redis_live == 0\` for a minute;
\`rate(statehub_messages_total{code="OVERLOADED"}[5m]) > 0\`; \`statehub_event_loop_lag_seconds > 0.25\` for a minute;
\`rate(statehub_failed_keys_total[5m])\` above what mistakes explain; \`rate(statehub_redis_garbage_total[5m]) > 0\`.

This page is made from \`server/observability/metrics/table.ts\` by \`node scripts/write-metrics.mjs\`.

| metric | type | labels | what it is |
| --- | --- | --- | --- |
`;

const rows = METRICS.map(({ name, type, help, labels = {} }) => {
  const told = Object.entries(labels).map(([label, values]) => `\`${label}\`: ${values}`);
  return `| \`${name}\` | ${type} | ${told.join("<br>")} | ${help} |\n`;
});

const page = HEAD + rows.join("");
if (process.argv.includes("--print")) process.stdout.write(page);
else writeFileSync(join(dirname(dirname(fileURLToPath(import.meta.url))), "docs", "METRICS.md"), page);
