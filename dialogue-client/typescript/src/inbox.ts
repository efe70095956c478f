import { type EventMessage, messageKey } from "./event-message.js";

/**
 * A room's incoming events. While the room is being joined they are held, in
 * order; afterwards they go straight through.
 */
export class Inbox {
  readonly #deliver: (message: EventMessage) => void;
  #held: EventMessage[] | undefined;
  #opening: ReturnType<typeof setTimeout> | undefined;

  constructor(deliver: (message: EventMessage) => void) {
    this.#deliver = deliver;
  }

  /** Takes in one event: hands it over, or holds it. */
  push(message: EventMessage): void {
    if (this.#held) this.#held.push(message);
    else this.#deliver(message);
  }

  /** Holds what comes from now on, until {@link open}. */
  hold(): void {
    clearTimeout(this.#opening);
    this.#held ??= [];
  }

  /**
   * Hands over what was held, and what still comes until then, in the next
   * macrotask: by then everything has run that awaits the join through promises
   * alone, and with it the registration of handlers. What `known` has already
   * is dropped.
   */
  open(known: readonly EventMessage[]): void {
    const keys = new Set(known.map(messageKey));
    keys.delete(undefined);
    this.#opening = setTimeout(() => {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const message of held) {
        if (!keys.has(messageKey(message))) this.#deliver(message);
      }
    });
  }

  /** Forgets what is held. */
  discard(): void {
    clearTimeout(this.#opening);
    this.#held = undefined;
  }
}
