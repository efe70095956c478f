import { throwIfAborted } from "./abortable.js";
import { Deferred } from "./deferred.js";
import { DialogueError } from "./error.js";
import { concernOf, jsonOf, type RequestBody, type Requester } from "./request.js";
import { isUnanswered, retryDelay } from "./retry.js";
import type { Receipt, TriggerOptions } from "./room.js";

/** For how long a trigger may be sent again, in milliseconds. The server knows a key for two minutes. */
const MOST_MS = 100_000;

/** A message of more characters may be why a connection is lost: a proxy, or an older server, has a limit that it does not say. */
const LONG = 65_536;

/** How much an outbox takes, and for how long. */
export interface OutboxLimits {
  /** How many triggers may wait for their answers. */
  readonly size: number;
  /** How long each may wait, in milliseconds. */
  readonly timeoutMs: number;
}

interface Entry {
  readonly body: RequestBody & { readonly event: string };
  readonly answer: Deferred<Receipt>;
  /** Whether a connection may be lost because of its length. */
  readonly isLong: boolean;
  inFlight: boolean;
  /** Whether a connection was lost while it was in flight, and it is long. */
  isSuspect: boolean;
  /** Why the server did not take it in, the last time. */
  refusal?: DialogueError | undefined;
  /** The user as whom it was sent, where the server may have taken it in: keys are each user's own. */
  sentBy?: string | undefined;
}

/**
 * A room's triggers that have no answer yet, in order. They wait while the
 * client is not in the room.
 *
 * A trigger whose answer was lost is sent again where that cannot double it:
 * the event is stored, so that the server tells it by its key. A long one may be
 * why the connection was lost: it is sent again alone, so that no other is lost
 * with it. Where the server does not say how long a message may be, it fails if
 * the connection is lost again.
 */
export class Outbox {
  readonly #requester: Requester;
  readonly #limits: OutboxLimits;
  readonly #entries = new Set<Entry>();
  /** Names of the room's events that are stored. */
  #stored: readonly string[] = [];
  #open = false;
  #ended = false;
  #inFlight = 0;
  /** How many may be in flight: few after a refusal, more with each success. */
  #window = Infinity;
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(requester: Requester, limits: OutboxLimits) {
    this.#requester = requester;
    this.#limits = limits;
  }

  /** Sends a trigger as soon as it can be, before this returns if that is now; resolves with its receipt. */
  async add(fields: RequestBody & { readonly event: string }, options: TriggerOptions): Promise<Receipt> {
    const concern = concernOf(fields);
    const { signal } = options;
    throwIfAborted(signal);
    if (this.#entries.size >= this.#limits.size) {
      throw new DialogueError("LIMIT_EXCEEDED", `\`${this.#limits.size}\` events wait: await some`, concern);
    }
    const json = jsonOf({ ...fields, key: options.key ?? newKey() });
    // What is sent again must be what was sent, whatever the app does to its objects.
    const body: Entry["body"] = JSON.parse(json);
    const entry: Entry = { body, isLong: json.length > LONG, answer: new Deferred(), inFlight: false, isSuspect: false };
    const timeoutMs = Math.min(options.timeoutMs ?? this.#limits.timeoutMs, MOST_MS);
    const deadline = setTimeout(() => {
      const what = entry.sentBy === undefined ? "sent" : "acknowledged";
      this.#reject(entry, entry.refusal ?? new DialogueError("TIMEOUT", `\`${body.event}\` was not ${what} within ${timeoutMs} ms`, concern));
    }, timeoutMs);
    const abort = () => this.#reject(entry, signal!.reason);
    signal?.addEventListener("abort", abort);
    this.#entries.add(entry);
    this.#flush();
    try {
      return await entry.answer.promise;
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** The client is in the room, of whose events these are stored: sends what waits, in order. */
  open(stored: readonly string[]): void {
    this.#open = true;
    this.#stored = stored;
    for (const entry of this.#entries) {
      if (entry.sentBy === undefined || entry.sentBy === this.#requester.userId) continue;
      this.#reject(entry, new DialogueError("DISCONNECTED", `\`${entry.body.event}\` was not acknowledged: the user is another`, concernOf(entry.body)));
    }
    this.#flush();
  }

  /** The client is not in the room at the moment. */
  close(): void {
    this.#open = false;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** The client does not come back: fails what was not sent, and tries nothing again. */
  end(error: DialogueError): void {
    this.close();
    this.#ended = true;
    this.abandon(error);
  }

  /** Fails what waits to be sent. */
  abandon(error: DialogueError): void {
    for (const entry of this.#entries) {
      if (!entry.inFlight) this.#reject(entry, error);
    }
  }

  #flush(): void {
    for (const entry of this.#entries) {
      if (!this.#open || this.#pause || this.#inFlight >= this.#window) return;
      if (entry.isSuspect && this.#inFlight > 0) return;
      if (!entry.inFlight) this.#send(entry);
      if (entry.isSuspect) return;
    }
  }

  #send(entry: Entry): void {
    entry.inFlight = true;
    entry.refusal = undefined;
    entry.sentBy = this.#requester.userId;
    this.#inFlight++;
    this.#requester.request<Receipt>("dialogue:trigger", entry.body).then(
      (receipt) => this.#succeeded(entry, receipt),
      (error: DialogueError) => this.#failed(entry, error),
    );
  }

  #succeeded(entry: Entry, receipt: Receipt): void {
    this.#inFlight--;
    this.#entries.delete(entry);
    this.#window = this.#entries.size === 0 ? Infinity : this.#window + 1;
    entry.answer.resolve(receipt);
    this.#flush();
  }

  #failed(entry: Entry, error: DialogueError): void {
    this.#inFlight--;
    entry.inFlight = false;
    const delay = retryDelay(error);
    const isStored = this.#stored.includes(entry.body.event);
    const isLost = error.code === "DISCONNECTED" && entry.isLong;
    // An ephemeral event that comes later than newer ones is worse than none.
    const isLate = error.code === "RATE_LIMITED" && !isStored;
    const isTooLong = isLost && entry.isSuspect && this.#requester.maxMessageBytes === Infinity;
    const repeatable = isUnanswered(error) ? isStored && !isTooLong : delay !== undefined && !isLate;
    entry.isSuspect ||= isLost;
    if (this.#ended || !repeatable || this.#requester.state === "disconnected") {
      this.#reject(entry, error);
    } else if (!isUnanswered(error)) {
      entry.refusal = error;
      if (error.code !== "STORE_UNAVAILABLE") entry.sentBy = undefined;
      this.#window = 1;
      if (this.#open) {
        this.#pause ??= setTimeout(() => {
          this.#pause = undefined;
          this.#flush();
        }, delay);
      }
    }
    this.#flush();
  }

  #reject(entry: Entry, error: DialogueError): void {
    this.#entries.delete(entry);
    entry.answer.reject(error);
  }
}

/** A key that no other trigger of the user has. It is no secret, and React Native has no `crypto`. */
function newKey(): string {
  return Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join("-");
}
