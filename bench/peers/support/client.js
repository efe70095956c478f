import { io } from "socket.io-client";

/** A Socket.IO client over WebSocket that remembers what it is sent. */
export class Client {
  #socket;

  /**
   * What came in and was not taken yet, in order.
   *
   * @type {[event: string, payload: any][]}
   */
  #received = [];

  /** @param {import("socket.io-client").Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.onAny((event, payload) => this.#received.push([event, payload]));
  }

  /**
   * @param {string} url
   * @param {string} userId
   */
  static async connect(url, userId) {
    const socket = io(url, { auth: { userId }, transports: ["websocket"], forceNew: true, reconnection: false });
    const client = new Client(socket);
    await new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("connect_error", reject);
    });
    return client;
  }

  get id() {
    return this.#socket.id;
  }

  /** The names of what came in and was not taken yet, in order. */
  get received() {
    return this.#received.map(([event]) => event);
  }

  /**
   * Sends a request; resolves with its acknowledgement.
   *
   * @param {string} request
   * @param {object} payload
   */
  async ask(request, payload) {
    return await this.#socket.timeout(5_000).emitWithAck(request, payload);
  }

  /**
   * Sends a request that is not acknowledged.
   *
   * @param {string} request
   * @param {object} payload
   */
  tell(request, payload) {
    this.#socket.emit(request, payload);
  }

  /**
   * Takes the payload of the first event of this name, and waits for it if need be.
   *
   * @param {string} event
   * @returns {Promise<any>}
   */
  async take(event) {
    const index = this.received.indexOf(event);
    if (index >= 0) return this.#received.splice(index, 1)[0]?.[1];
    await new Promise((resolve) => this.#socket.once(event, () => resolve(undefined)));
    return await this.take(event);
  }

  close() {
    this.#socket.disconnect();
  }
}
