/** An object of so many levels, itself the first. */
export function nested(levels: number): object {
  return levels === 1 ? {} : { in: nested(levels - 1) };
}
