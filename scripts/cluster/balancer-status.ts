const ANSWER_MS = 2_000;

/** A balancer's word on its hubs, as haproxy says it in CSV; the built-in balancer writes the same columns. */
export function statusCsv(hubs: readonly { readonly name: string; readonly isUp: boolean }[]): string {
  const rows = hubs.map(({ name, isUp }) => `hubs,${name},${isUp ? "UP" : "DOWN"}`);
  return ["# pxname,svname,status", ...rows, ""].join("\n");
}

/** Names of the hubs that get new connections. */
export function hubsUp(csv: string): Set<string> {
  const [head = "", ...rows] = csv.split("\n");
  const columns = head.replace(/^# /, "").split(",");
  const [backend, name, status] = ["pxname", "svname", "status"].map((column) => columns.indexOf(column));
  const up = rows
    .map((row) => row.split(","))
    .filter((cells) => cells[backend ?? -1] === "hubs" && /^UP/.test(cells[status ?? -1] ?? ""))
    .map((cells) => cells[name ?? -1] ?? "");
  return new Set(up.filter((hub) => hub !== "BACKEND"));
}

/** The same, asked now; empty when the balancer does not answer. */
export async function askHubsUp(statusUrl: string): Promise<Set<string>> {
  try {
    const response = await fetch(statusUrl, { signal: AbortSignal.timeout(ANSWER_MS) });
    return hubsUp(await response.text());
  } catch {
    return new Set();
  }
}
