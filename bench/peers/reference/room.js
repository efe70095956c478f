// One room: what may be triggered in it, and what happens then.
import { z } from "zod";
import { getEventByName, validateEventData } from "./events.js";
import { Refusal } from "./refusal.js";

/**
 * @typedef {object} RoomConfig
 * @property {string} name
 * @property {readonly import("./events.js").EventDefinition[]} events
 * @property {number} syncHistoryOnJoin how many events of each name whoever joins is sent
 *
 * @typedef {(message: import("./events.js").EventMessage) => void} Handler
 */

export class Room {
  #io;
  #history;
  #config;

  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();

  /**
   * @param {import("socket.io").Server} io
   * @param {import("./history-manager.js").HistoryManager} history
   * @param {string} id
   * @param {RoomConfig} config
   */
  constructor(io, history, id, config) {
    this.#io = io;
    this.#history = history;
    this.id = id;
    this.#config = config;
  }

  get name() {
    return this.#config.name;
  }

  /**
   * Checks an event, keeps it if its definition says so, and sends it to every member and handler.
   *
   * @param {string} event
   * @param {unknown} data
   * @param {string} from
   */
  trigger(event, data, from) {
    const definition = getEventByName(event, this.#config.events);
    if (!definition) throw new Refusal("EVENT_NOT_ALLOWED", "the room does not allow this event");

    const checked = validateEventData(definition, data);
    if (!checked.success) throw new Refusal("VALIDATION_FAILED", z.prettifyError(checked.error));

    const message = { event, roomId: this.id, data: checked.data, from, timestamp: Date.now() };
    if (definition.history?.enabled) this.#history.push(message, definition.history.limit);
    this.#io.to(this.id).emit("dialogue:event", message);

    const handlers = this.#handlers.get(event);
    if (handlers) for (const handler of handlers) handler(message);
  }

  /**
   * Hands every message of this name to `handler`, until what it returns is called.
   *
   * @param {string} event
   * @param {Handler} handler
   */
  on(event, handler) {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** What whoever joins is sent of the past. */
  recent() {
    return this.#history.recent(this.id, this.#config.syncHistoryOnJoin);
  }

  /**
   * Events of one name, counted from the newest.
   *
   * @param {string} event
   * @param {number} start
   * @param {number} end exclusive
   */
  history(event, start, end) {
    return this.#history.page(this.id, event, start, end);
  }
}
