import { Deferred } from "../deferred.js";
import type { DialogueError } from "../error.js";
import type { EventMessage } from "../event-message.js";
import type { Handler, Unsubscribe } from "../handlers.js";
import type { JoinedRoom } from "../joined-room.js";
import { retryDelay } from "../retry.js";
import type { Room } from "../room.js";

/** A handler that is registered for an event. */
export interface Listener {
  readonly stop: Unsubscribe;
  /** Resolves when the room is subscribed to the event, or when the server has rejected the subscription. */
  readonly subscribed: Promise<void>;
}

const subscriptions = new WeakMap<Room, Subscriptions>();

/** Registers a handler for an event, and subscribes the room to the event if necessary. */
export function listen(room: Room, event: string, handler: Handler<[message: EventMessage]>): Listener {
  let known = subscriptions.get(room);
  if (!known) subscriptions.set(room, (known = new Subscriptions(room)));
  return { stop: room.on(event, handler), subscribed: known.want(event) };
}

/** The subscriptions of one room's components. It subscribes to each event once, and does not unsubscribe. */
class Subscriptions {
  readonly #room: Room;
  readonly #wanted = new Map<string, Deferred<void>>();
  readonly #asked = new Set<string>();
  /** Events that the server has refused on this connection. The next one may lead to another version of it. */
  readonly #refused = new Set<string>();

  constructor(room: Room) {
    this.#room = room;
    room.onState((state) => {
      if (state === "rejoining") this.#askAnew();
      this.#ask();
    });
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
      if (subscriptions.includes(event) || subscriptions.includes("*")) {
        // The room may be a stand-in of the app's tests, which has no such method.
        (this.#room as Partial<JoinedRoom>).want?.(event);
        // Joins ask for it from now on.
        this.#asked.add(event);
        subscribed.resolve();
      } else if (!this.#asked.has(event)) void this.#subscribe(event, subscribed);
    }
  }

  #askAnew(): void {
    for (const event of this.#refused) this.#asked.delete(event);
    this.#refused.clear();
  }

  /** Subscribes to an event. Retries while disconnected or rate limited. Other errors reach the client's `onError`. */
  async #subscribe(event: string, subscribed: Deferred<void>): Promise<void> {
    this.#asked.add(event);
    try {
      await this.#room.subscribe(event);
    } catch (error) {
      const delay = retryDelay(error as DialogueError);
      if (delay !== undefined || (error as DialogueError).code === "DISCONNECTED") {
        this.#asked.delete(event);
        // While disconnected, `onState` tries again after the rejoin.
        if (delay !== undefined) setTimeout(() => this.#ask(), delay);
        return;
      }
      this.#refused.add(event);
    }
    subscribed.resolve();
  }
}
