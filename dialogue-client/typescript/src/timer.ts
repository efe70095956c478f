/** What timers can count to, in milliseconds. */
const MOST_MS = 2 ** 31 - 1;

/** A delay as timers take it: one that is longer than they can count would end at once. */
export function countable(delayMs: number): number {
  return Math.min(delayMs, MOST_MS);
}
