// The latest events of every room in memory, an array for each name.

/** @typedef {import("./events.js").EventMessage} EventMessage */

export class HistoryManager {
  #maxEventsPerType;

  /** @type {Map<string, Map<string, EventMessage[]>>} */
  #rooms = new Map();

  constructor({ maxEventsPerType = 100 } = {}) {
    this.#maxEventsPerType = maxEventsPerType;
  }

  /**
   * Keeps a message, and drops the oldest of its name where there are more than `limit`.
   *
   * @param {EventMessage} message
   * @param {number} limit
   */
  push(message, limit) {
    let names = this.#rooms.get(message.roomId);
    if (!names) this.#rooms.set(message.roomId, (names = new Map()));
    let kept = names.get(message.event);
    if (!kept) names.set(message.event, (kept = []));
    kept.push(message);
    if (kept.length > Math.min(limit, this.#maxEventsPerType)) kept.shift();
  }

  /**
   * The latest of every name in a room, at most `limit` of each, newest first.
   *
   * @param {string} roomId
   * @param {number} limit
   */
  recent(roomId, limit) {
    const names = this.#rooms.get(roomId);
    return names ? [...names.values()].flatMap((kept) => newestFirst(kept, 0, limit)) : [];
  }

  /**
   * The messages of one name from `start` to before `end`, counted from the newest.
   *
   * @param {string} roomId
   * @param {string} event
   * @param {number} start
   * @param {number} end
   */
  page(roomId, event, start, end) {
    return newestFirst(this.#rooms.get(roomId)?.get(event) ?? [], start, end);
  }
}

/**
 * @param {EventMessage[]} kept oldest first
 * @param {number} start
 * @param {number} end
 */
function newestFirst(kept, start, end) {
  const { length } = kept;
  return kept.slice(Math.max(0, length - end), Math.max(0, length - start)).reverse();
}
