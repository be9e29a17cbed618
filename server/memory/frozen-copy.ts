/** A copy of plain JSON data that nobody can change: what passed through a database shares nothing with its writer. */
export function frozenCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (_key, node: unknown) => Object.freeze(node)) as T;
}
