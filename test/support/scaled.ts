/** A size that a test makes heavy: a quarter in `npm test`, all of it in `npm run test:scale`. */
export function scaled(full: number): number {
  return Math.ceil(full * Number(process.env.TEST_SCALE ?? 0.25));
}
