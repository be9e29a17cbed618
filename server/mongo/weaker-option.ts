/** Options by which a URI would promise less than an ack does; names of options know no case. */
const PROMISES: Readonly<Record<string, string>> = {
  w: "majority",
  journal: "true",
  j: "true",
  readconcernlevel: "majority",
};

/**
 * An option of a MongoDB URI that asks for less than majority and journal, as it stands there. The hub sets these itself,
 * so that none would count; but whoever wrote it expects something else than what an ack means here.
 */
export function weakerOption(uri: string): string | undefined {
  // Behind the last @, since a password may hold anything, and must not be told.
  const [, query = ""] = /\?(.*)$/s.exec(uri.slice(uri.lastIndexOf("@") + 1)) ?? [];
  for (const [name, value] of new URLSearchParams(query)) {
    const promise = PROMISES[name.toLowerCase()];
    if (promise !== undefined && value.toLowerCase() !== promise) return `${name}=${value.slice(0, 40)}`;
  }
  return undefined;
}
