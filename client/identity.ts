import { StateHubError } from "./errors.ts";

/** Enough that two agents of a fleet never meet; no secret. */
export function randomText(): string {
  const bytes = Uint8Array.from({ length: 8 }, () => Math.floor(Math.random() * 256));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Any text as part of an id: characters that ids cannot hold become `-`. */
export function idFrom(text: string): string {
  return text
    .replace(/[^A-Za-z0-9._:@-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 128);
}

interface NodeProcess {
  getBuiltinModule?(name: "node:os"): { hostname(): string } | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The host's name without an import that browsers would stumble over. */
export function defaultMachineId(): string {
  const node = (globalThis as { process?: NodeProcess }).process;
  const name = node?.getBuiltinModule?.("node:os")?.hostname() ?? node?.env?.HOSTNAME ?? "";
  return idFrom(name) || "unknown";
}

/** An address that can never work is told at once, not tried for ever. */
export function checkUrl(url: string): void {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new StateHubError("VALIDATION", `url: ${JSON.stringify(url)} is no URL; it looks like http://127.0.0.1:3000`);
  }
  if (!/^(https?|wss?):$/.test(parsed.protocol)) {
    throw new StateHubError("VALIDATION", `url: must begin with http:// or https://, not ${parsed.protocol}`);
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new StateHubError("VALIDATION", "url: must not hold a user or a key; give the key as `key`");
  }
}
