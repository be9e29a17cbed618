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
