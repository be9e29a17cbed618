import { Command, InvalidArgumentError, Option } from "commander";
import { findHubAddress } from "../hub-address.ts";
import { type KeyView, keyTable } from "../key-text.ts";
import { urlOption } from "../options.ts";
import { print, printable, printJson, say } from "../output.ts";
import { parseDuration } from "../parse.ts";
import { askHub } from "../rest.ts";

interface CommonOptions {
  readonly url?: string;
  readonly json?: true;
}

interface NewOptions extends CommonOptions {
  readonly role: string;
  readonly projects?: readonly string[];
  readonly name?: string;
  readonly expires?: Expiry;
}

type NewKey = KeyView & { readonly key: string };

export function keysCommand(): Command {
  const keys = new Command("keys")
    .summary("make, list, rotate and revoke API keys")
    .description("API keys that the hub keeps (as digests) in its database. Needs an operator key.");
  for (const make of [newCommand, listCommand, rotateCommand, revokeCommand]) keys.addCommand(make());
  return keys;
}

function newCommand(): Command {
  return new Command("new")
    .summary("make a key")
    .description("Makes a key and shows it, this once.")
    .addOption(
      new Option("-r, --role <role>", "what it may do").choices(["agent", "viewer", "operator"]).makeOptionMandatory(),
    )
    .option("-p, --projects <patterns>", "comma list of project ids, prefixes such as acme-*, or *", parseList)
    .option("-n, --name <text>", "what the key is for")
    .option("-e, --expires <when>", "after so long (30d, 12h), or at a time (2027-01-31T00:00:00Z)", parseExpiry)
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"id", "key", ...}')
    .addHelpText(
      "after",
      `
viewer: reads its projects. agent: reports to them too. operator: everything, in all projects.

Examples:
  state-hub keys new --role agent --projects web,acme-* --name "build machines" --expires 90d
  state-hub keys new --role viewer --projects web --json | jq -r .key`,
    )
    .action(makeKey);
}

async function makeKey({ url, json, role, projects, name, expires }: NewOptions): Promise<void> {
  const body = { role, ...(projects === undefined ? {} : { projects }), ...(name === undefined ? {} : { name }) };
  const made = await askHub<NewKey>(findHubAddress(url), {
    method: "POST",
    path: "/admin/keys",
    body: { ...body, ...expires },
  });
  show(made, json);
}

function listCommand(): Command {
  return new Command("list")
    .summary("list keys, and who uses them")
    .description("Lists the keys of the database and those that hubs were started with, with their use on all hubs.")
    .option("-a, --all", "also keys that were revoked or have expired")
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"items": [...], "length": n}')
    .action(listKeys);
}

async function listKeys({ url, json, all }: CommonOptions & { readonly all?: true }): Promise<void> {
  const { items } = await askHub<{ items: readonly KeyView[] }>(findHubAddress(url), { path: "/admin/keys" });
  const now = Date.now();
  const shown = all ? items : items.filter((key) => !hasEnded(key, now));
  if (json) printJson({ items: shown, length: shown.length });
  else if (shown.length === 0) say("there are no keys; `state-hub keys new` makes one");
  else print(keyTable(shown, now));
}

function rotateCommand(): Command {
  return new Command("rotate")
    .summary("replace a key by a new one")
    .description("Makes a key of the same rights and shows it, this once. The old one counts for so long beside it.")
    .argument("<id>", "of the old key, as `keys list` shows it", parseKeyId)
    .requiredOption("-o, --overlap <duration>", "how long the old key still counts: 24h, 7d, or 0", parseDuration)
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"id", "key", ...}')
    .action(rotateKey);
}

async function rotateKey(id: string, options: CommonOptions & { readonly overlap: number }): Promise<void> {
  const made = await askHub<NewKey>(findHubAddress(options.url), {
    method: "POST",
    path: `/admin/keys/${encodeURIComponent(id)}/rotate`,
    body: { overlap_ms: options.overlap },
  });
  show(made, options.json);
  say(`the old key ${printable(id)} is listed by \`state-hub keys list\` with who still uses it`);
}

function revokeCommand(): Command {
  return new Command("revoke")
    .summary("end a key now")
    .description("Ends a key on all hubs and closes its connections.")
    .argument("<id>", "as `keys list` shows it", parseKeyId)
    .addOption(urlOption())
    .option("--json", "the key as it is then, on stdout")
    .action(revokeKey);
}

async function revokeKey(id: string, { url, json }: CommonOptions): Promise<void> {
  const revoked = await askHub<KeyView>(findHubAddress(url), {
    method: "DELETE",
    path: `/admin/keys/${encodeURIComponent(id)}`,
  });
  if (json) printJson(revoked);
  else print(`revoked ${printable(revoked.id)}${revoked.name === undefined ? "" : ` (${printable(revoked.name)})`}`);
}

/** The key alone on stdout, so that it can be piped to where it is needed. */
function show(made: NewKey, json: true | undefined): void {
  if (json) {
    printJson(made);
    return;
  }
  print(made.key);
  const until = made.expires_at === undefined ? "" : `, until ${made.expires_at}`;
  say(`key ${made.id}: ${made.role} of ${made.projects.map(printable).join(", ")}${until}`);
  say("it is shown only now; the hub keeps no copy");
}

/** A key pasted for its id must not travel in a URL. */
function parseKeyId(text: string): string {
  if (/^key-[0-9a-f]{12}$/.test(text)) return text;
  if (text.startsWith("config:")) {
    throw new InvalidArgumentError("A configured key is taken out where it stands: API_KEYS or API_KEYS_FILE.");
  }
  throw new InvalidArgumentError("It is the id that `state-hub keys list` shows, such as key-0a1b2c3d4e5f.");
}

function hasEnded({ revoked_at, expires_at }: KeyView, now: number): boolean {
  return revoked_at !== undefined || (expires_at !== undefined && Date.parse(expires_at) <= now);
}

function parseList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

type Expiry = { readonly expires_in_ms: number } | { readonly expires_at: string };

/** A duration is counted by the hub's clock, not by this machine's. */
function parseExpiry(text: string): Expiry {
  if (/^\d{4}-/.test(text)) {
    const time = Date.parse(text);
    if (Number.isNaN(time)) throw new InvalidArgumentError("A time looks like 2027-01-31T00:00:00Z.");
    return { expires_at: new Date(time).toISOString() };
  }
  return { expires_in_ms: parseDuration(text) };
}
