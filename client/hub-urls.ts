import { StateHubError } from "./errors.ts";

/** One address, several, or several in one text, separated by commas: hubs on the same database. */
export type HubUrls = string | readonly string[];

/** Each address once, in the order given. Those that can never work are told at once, not tried for ever. */
export function hubUrls(urls: HubUrls): readonly string[] {
  const given = (typeof urls === "string" ? [urls] : urls).flatMap((text) => text.split(","));
  const trimmed = given.map((url) => url.trim()).filter((url) => url !== "");
  if (trimmed.length === 0) throw invalid(`${JSON.stringify(urls)} names no hub`);
  for (const url of trimmed) checkUrl(url);
  return [...new Set(trimmed)];
}

function checkUrl(url: string): void {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw invalid(`${JSON.stringify(url)} is no URL`);
  }
  if (!/^(https?|wss?):$/.test(parsed.protocol)) {
    throw new StateHubError("VALIDATION", `url: must begin with http:// or https://, not ${parsed.protocol}`);
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new StateHubError("VALIDATION", "url: must not hold a user or a key; give the key as `key`");
  }
}

function invalid(what: string): StateHubError {
  return new StateHubError("VALIDATION", `url: ${what}; it looks like http://127.0.0.1:3000`);
}
