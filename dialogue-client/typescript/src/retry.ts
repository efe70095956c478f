import type { DialogueError } from "./error.js";
import { countable } from "./timer.js";

/** How long to wait before asking again what has failed for now, in milliseconds; `undefined` where asking again is no use. */
export function retryDelay(error: DialogueError): number | undefined {
  if (!/^(RATE_LIMITED|STORE_UNAVAILABLE|DRAINING|TIMEOUT)$/.test(error.code)) return undefined;
  return countable(error.retryAfterMs ?? pauseMs());
}

/** How long to wait where the server does not say it, in milliseconds. */
export function pauseMs(): number {
  return 250 + Math.random() * 500;
}

/** How many times as long as usual to wait for an answer, after one that came too late: its link may be slow. */
export function moreTimes(times: number): number {
  return Math.min(2 * times, 8);
}

/** How many events a page has at most: the longer answers take, the fewer. */
export function pageSize(times: number): number {
  return Math.ceil(100 / times ** 2);
}

/** Whether a failure leaves open what the server did, or would have said. */
export function isUnanswered(error: unknown): boolean {
  return /^(DISCONNECTED|TIMEOUT)$/.test((error as DialogueError).code);
}
