/** One member of a list of entity tags with what separates it from the next, RFC 9110 section 8.8.3. */
const TAG = /[ \t]*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,|$)/y;

/** Longer lists are refused: each tag may cost a decision. */
const MAX_TAGS = 16;

interface Tag {
  readonly weak: boolean;
  readonly value: string;
}

/** Strong, for the logged fields of an entity. */
export function etagOf(entity: { readonly version: number }): string {
  return `"${entity.version}"`;
}

/** `*` for whatever is there, a list of tags, or undefined for what is neither. */
export function parseTags(header: string): "*" | readonly Tag[] | undefined {
  if (header.trim() === "*") return "*";
  const tags: Tag[] = [];
  for (TAG.lastIndex = 0; TAG.lastIndex < header.length; ) {
    const match = TAG.exec(header);
    if (match === null || tags.length === MAX_TAGS) return undefined;
    tags.push({ weak: match[1] !== undefined, value: match[2] ?? "" });
  }
  return tags.length === 0 ? undefined : tags;
}

/** `If-None-Match` of a GET, against a version or the digest of a document: weak comparison. A header that does not read counts as absent: the answer is just longer. */
export function isUnchanged(ifNoneMatch: string | undefined, version: number | string): boolean {
  const tags = ifNoneMatch === undefined ? undefined : parseTags(ifNoneMatch);
  return tags === "*" || (tags?.some(({ value }) => value === String(version)) ?? false);
}

/**
 * `If-Match` of a PATCH as the versions it accepts: strong comparison, so weak tags and tags that are no version match
 * nothing. "any" without the header and with `*`; undefined for a header that does not read.
 */
export function acceptedVersions(ifMatch: string | undefined): "any" | readonly number[] | undefined {
  if (ifMatch === undefined) return "any";
  const tags = parseTags(ifMatch);
  if (tags === undefined) return undefined;
  if (tags === "*") return "any";
  return tags.filter(({ weak, value }) => !weak && /^[1-9]\d{0,15}$/.test(value)).map(({ value }) => Number(value));
}
