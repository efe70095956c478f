// Every room, and who is in it: two maps side by side, so that a room itself never changes.
import { HistoryManager } from "./history-manager.js";
import { Refusal } from "./refusal.js";
import { Room } from "./room.js";

/** @typedef {import("socket.io").Socket} Socket */

export class RoomManager {
  #io;
  #history = new HistoryManager();

  /** @type {Map<string, Room>} */
  #rooms = new Map();

  /** @type {Map<string, Map<string, Socket>>} */
  #participants = new Map();

  /** @param {import("socket.io").Server} io */
  constructor(io) {
    this.#io = io;
  }

  /**
   * @param {string} roomId
   * @param {import("./room.js").RoomConfig} config
   */
  register(roomId, config) {
    this.#rooms.set(roomId, new Room(this.#io, this.#history, roomId, config));
    this.#participants.set(roomId, new Map());
  }

  /**
   * @param {string} roomId
   * @param {Socket} client
   */
  join(roomId, client) {
    const room = this.#get(roomId);
    this.#participants.get(roomId)?.set(client.id, client);
    client.join(roomId);
    return room;
  }

  /**
   * @param {string} roomId
   * @param {Socket} client
   */
  leave(roomId, client) {
    this.#participants.get(roomId)?.delete(client.id);
    client.leave(roomId);
  }

  /**
   * The room, for a client that is in it.
   *
   * @param {string} roomId
   * @param {Socket} client
   */
  joined(roomId, client) {
    const room = this.#get(roomId);
    if (!this.#participants.get(roomId)?.has(client.id)) throw new Refusal("NOT_IN_ROOM", "join the room first");
    return room;
  }

  /** @param {string} roomId */
  #get(roomId) {
    const room = this.#rooms.get(roomId);
    if (!room) throw new Refusal("ROOM_NOT_FOUND", "there is no such room");
    return room;
  }
}
