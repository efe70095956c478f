import { Deferred } from "./deferred.js";
import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { Handler, Unsubscribe } from "./handlers.js";

/** How many events wait for a slow consumer. */
const MOST_WAITING = 1_000;

/** Where an iterator's events come from. */
export interface MessageSource {
  /** What it is about, for errors. */
  readonly concern: { readonly roomId: string; readonly event: string };
  on(handler: Handler<[message: EventMessage]>): Unsubscribe;
  /** Calls a handler when no more events come: with an error where that is one. */
  onEnd(handler: Handler<[error?: DialogueError]>): Unsubscribe;
  /** Calls a handler when events of it were missed for good that are stored. */
  onReset(handler: Handler<[]>): Unsubscribe;
}

/** Iterates over events from now on, not only from the first call of `next`. */
export function iterateMessages(source: MessageSource, signal?: AbortSignal): AsyncIterableIterator<EventMessage> {
  /** Each gives an event, or throws why there are no more. */
  const waiting: (() => EventMessage)[] = [];
  let more = new Deferred<void>();
  let ended = false;

  const end = (reason?: unknown) => {
    if (ended) return;
    ended = true;
    for (const off of offs) off();
    signal?.removeEventListener("abort", abort);
    if (reason !== undefined) {
      waiting.push(() => {
        throw reason;
      });
    }
    more.resolve();
  };
  const abort = () => {
    waiting.length = 0;
    end(signal!.reason);
  };
  const offs = [
    source.on((message) => {
      if (waiting.length === MOST_WAITING) {
        end(new DialogueError("LIMIT_EXCEEDED", `${MOST_WAITING} events wait: use \`getHistory\``, source.concern));
      } else {
        waiting.push(() => message);
        more.resolve();
      }
    }),
    source.onEnd(end),
    source.onReset(() => {
      end(new DialogueError("MISSED", "events were missed: read `history`", source.concern));
    }),
  ];
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (waiting.length === 0 && !ended) await more.promise;
      const take = waiting.shift();
      if (waiting.length === 0 && !ended) more = new Deferred();
      return take ? { done: false, value: take() } : { done: true, value: undefined };
    },
    async return() {
      end();
      waiting.length = 0;
      return { done: true, value: undefined };
    },
  };
}
