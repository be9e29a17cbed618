import { relative } from "node:path";
import { table } from "../../cli/output.ts";
import type { ClusterFile } from "./cluster-file.ts";
import { DEFAULT_DATA_DIR } from "./options.ts";

/** What a person at a terminal has to know. The key is shown there only: it must not end up in a log file. */
export function greeting(cluster: ClusterFile, dataDir: string, key: string | undefined): string {
  const { url, balancer, hubs } = cluster;
  const first = hubs[0];
  const processes = table([
    ["NAME", "ADDRESS", "PID", "LOG"],
    ["balancer", url, String(balancer.pid ?? "–"), short(balancer.log_file)],
    ...hubs.map((hub) => [hub.name, hub.url, String(hub.pid ?? "–"), short(hub.log_file)]),
  ]);
  const here = [`STATE_HUB_URL=${url}`, ...(cluster.ca_file === undefined ? [] : [`STATE_HUB_CA=${cluster.ca_file}`])];
  const otherFolder = dataDir === DEFAULT_DATA_DIR ? "" : ` -- --data ${short(dataDir)}`;
  const advice = table([
    ["key", [key, cluster.key_file && `in ${short(cluster.key_file)}`].filter(Boolean).join("  ") || "as in API_KEYS"],
    ["watch", `${here.join(" ")} npx state-hub watch`],
    ["report", `${here.join(" ")} npx state-hub run -- COMMAND`],
    ...(cluster.ca_file === undefined ? [] : [["trust", `STATE_HUB_CA, or curl --cacert ${short(cluster.ca_file)}`]]),
    ["who is up", balancer.status_url],
    ["kill one", `kill -9 ${first?.pid ?? "PID"}   it is started again, its clients go on at the others`],
    ["restart all", `npm run cluster:restart${otherFolder}   one after the other`],
    ["stop", "Ctrl-C"],
  ]);
  const title = `State Hub: ${hubs.length} hubs behind ${balancer.kind}, ${cluster.redis ? "with" : "without"} Redis`;
  return ["", title, "", processes, "", advice, ""].map(indented).join("\n");
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}

/** As seen from where the person is. */
function short(path: string | undefined): string {
  if (path === undefined) return "–";
  const here = relative(process.cwd(), path);
  return here.startsWith("..") ? path : here;
}
