import { type Handler, HandlersByName, type Unsubscribe } from "./handlers.js";

/** The names that belong to Dialogue, or to Socket.IO. */
const RESERVED = /^(dialogue:.*|connect|connect_error|disconnect|disconnecting|newListener|removeListener)$/s;

/** The handlers of events that the server sends to this client alone, by event name. */
export class DirectEvents {
  readonly #handlers = new HandlersByName<[payload: unknown]>();

  /** @throws TypeError for a name that belongs to Dialogue or Socket.IO, and that no such event can have. */
  on(event: string, handler: Handler<[payload: unknown]>): Unsubscribe {
    if (RESERVED.test(event)) {
      throw new TypeError(`\`${event}\` is not the name of an event that a server sends to one client`);
    }
    return this.#handlers.add(event, handler);
  }

  /** Hands over an event. Those that nobody listens for are dropped. */
  receive(event: string, payload: unknown): void {
    this.#handlers.call(event, payload);
  }
}
