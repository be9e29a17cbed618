/** The key of a request: `X-Api-Key`, or `Authorization: Bearer`. Two that differ are worse than none. */
export function keyFromHeaders(headers: {
  readonly [name: string]: string | string[] | undefined;
}): { readonly key: string | undefined } | { readonly ambiguous: true } {
  const direct = headers["x-api-key"];
  const bearer = /^Bearer +(\S+)$/i.exec(single(headers.authorization) ?? "")?.[1];
  const key = single(direct);
  if (key !== undefined && bearer !== undefined && key !== bearer) return { ambiguous: true };
  return { key: key ?? bearer };
}

const KEY_PARAMETER = /^((x[_-])?api[_-]?key|key|(access_)?token|jwt|auth(orization)?)$/i;

/** Whether people put keys into URLs under this name, where proxies and histories keep them. */
export function isKeyParameter(name: string): boolean {
  return KEY_PARAMETER.test(name);
}

const KEY_LIKE = /shk_[\w%]+|eyJ[\w-]+\.[\w-]+\.[\w-]*/g;
const KEY_IN_PLACE_OF_ID = /(\/admin\/keys\/)(?!key-[0-9a-f]{12}(?:\/|$)|config:)[^/]+/;

/** A path as it may be logged: people paste a key where its id belongs. */
export function withoutKeys(path: string): string {
  return path.replace(KEY_LIKE, "[key]").replace(KEY_IN_PLACE_OF_ID, "$1[key]");
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
