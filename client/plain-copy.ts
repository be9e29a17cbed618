/**
 * A copy of a caller's object as JSON would carry it: own, so that later changes by the caller do not reach a message
 * that may be sent again, and without `undefined` members. Everything that is not JSON stays for the validation to name.
 */
export function plainCopy(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null || depth > DEEPEST) return value;
  if (Array.isArray(value)) return value.map((item) => plainCopy(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, plainCopy(member, depth + 1)]),
  );
}

/** Beyond every limit of the protocol; also ends a circle. */
const DEEPEST = 32;
