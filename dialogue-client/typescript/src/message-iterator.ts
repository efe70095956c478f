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
  const waiting: EventMessage[] = [];
  let more = new Deferred<void>();
  let ended = false;
  let failure: { readonly reason: unknown } | undefined;

  const end = (reason?: unknown) => {
    if (ended) return;
    ended = true;
    if (reason !== undefined) failure = { reason };
    for (const off of offs) off();
    signal?.removeEventListener("abort", abort);
    more.resolve();
  };
  const abort = () => {
    waiting.length = 0;
    end(signal!.reason);
  };
  const offs = [
    source.on((message) => {
      if (waiting.length === MOST_WAITING) {
        const problem = `${MOST_WAITING} events wait for whoever iterates: read on with \`getHistory\`, and iterate anew`;
        end(new DialogueError("LIMIT_EXCEEDED", problem, source.concern));
      } else {
        waiting.push(message);
        more.resolve();
      }
    }),
    source.onEnd(end),
    source.onReset(() => {
      const problem = "events were missed that cannot be had any more: read `history`, and iterate anew";
      end(new DialogueError("MISSED", problem, source.concern));
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
      const value = waiting.shift();
      if (waiting.length === 0 && !ended) more = new Deferred();
      if (value) return { done: false, value };
      const failed = failure;
      failure = undefined;
      if (failed) throw failed.reason;
      return { done: true, value: undefined };
    },
    async return() {
      waiting.length = 0;
      end();
      failure = undefined;
      return { done: true, value: undefined };
    },
  };
}
