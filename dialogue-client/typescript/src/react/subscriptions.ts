import { Deferred } from "../deferred.js";
import type { DialogueError } from "../error.js";
import type { EventMessage } from "../event-message.js";
import type { Handler, Unsubscribe } from "../handlers.js";
import { retryDelay } from "../retry.js";
import type { Room } from "../room.js";

/** One who listens to an event. */
export interface Listener {
  readonly stop: Unsubscribe;
  /** Resolves when the room is subscribed to the event, or never will be. */
  readonly subscribed: Promise<void>;
}

const subscriptions = new WeakMap<Room, Subscriptions>();

/** Calls a handler for each event of one name, to which the room is subscribed. */
export function listen(room: Room, event: string, handler: Handler<[message: EventMessage]>): Listener {
  let known = subscriptions.get(room);
  if (!known) subscriptions.set(room, (known = new Subscriptions(room)));
  return { stop: room.on(event, handler), subscribed: known.want(event) };
}

/** What components listen to in one room: each event is subscribed to once, until the room is left. */
class Subscriptions {
  readonly #room: Room;
  readonly #wanted = new Map<string, Deferred<void>>();
  readonly #asked = new Set<string>();

  constructor(room: Room) {
    this.#room = room;
    room.onState(() => this.#ask());
  }

  want(event: string): Promise<void> {
    let subscribed = this.#wanted.get(event);
    if (!subscribed) {
      this.#wanted.set(event, (subscribed = new Deferred()));
      this.#ask();
    }
    return subscribed.promise;
  }

  #ask(): void {
    const { state, subscriptions } = this.#room;
    if (state !== "joined") return;
    for (const [event, subscribed] of this.#wanted) {
      if (subscriptions.includes(event) || subscriptions.includes("*")) subscribed.resolve();
      else if (!this.#asked.has(event)) void this.#subscribe(event, subscribed);
    }
  }

  /** A failure reaches the client's `onError`. */
  async #subscribe(event: string, subscribed: Deferred<void>): Promise<void> {
    this.#asked.add(event);
    try {
      await this.#room.subscribe(event);
    } catch (error) {
      const delay = retryDelay(error as DialogueError);
      if (delay !== undefined || (error as DialogueError).code === "DISCONNECTED") {
        this.#asked.delete(event);
        // Without a connection, it goes on when the room is joined again.
        if (delay !== undefined) setTimeout(() => this.#ask(), delay);
        return;
      }
    }
    subscribed.resolve();
  }
}
