// What a client may ask for.
import { Refusal } from "./refusal.js";

/**
 * @typedef {import("socket.io").Socket} Socket
 *
 * @typedef {{ roomId: string } & Record<string, any>} Request
 */

/**
 * Tells a new client who it is, and answers what it asks.
 *
 * @param {Socket} socket
 * @param {import("./room-manager.js").RoomManager} rooms
 */
export function handleClient(socket, rooms) {
  const userId = userOf(socket);
  /** @type {Set<string>} */
  const joined = new Set();

  answer(socket, "dialogue:join", ({ roomId }) => {
    const room = rooms.join(roomId, socket);
    joined.add(roomId);
    socket.emit("dialogue:joined", { roomId, roomName: room.name });
    const events = room.recent();
    if (events.length > 0) socket.emit("dialogue:history", { roomId, events });
    return { roomId };
  });

  answer(socket, "dialogue:leave", ({ roomId }) => {
    rooms.joined(roomId, socket);
    rooms.leave(roomId, socket);
    joined.delete(roomId);
    socket.emit("dialogue:left", { roomId });
    return { roomId };
  });

  answer(socket, "dialogue:trigger", ({ roomId, event, data }) => {
    rooms.joined(roomId, socket).trigger(event, data, userId);
  });

  answer(socket, "dialogue:getHistory", ({ roomId, eventName, start = 0, end = 50 }) => ({
    events: rooms.joined(roomId, socket).history(eventName, start, end),
  }));

  socket.on("disconnect", () => {
    for (const roomId of joined) rooms.leave(roomId, socket);
  });

  socket.emit("dialogue:connected", { clientId: socket.id, userId });
}

/**
 * Answers a request with what `handle` returns, if the client asked for an answer. A refusal is always told.
 *
 * @param {Socket} socket
 * @param {string} name
 * @param {(request: Request) => object | void} handle
 */
function answer(socket, name, handle) {
  socket.on(name, (request, ack) => {
    try {
      if (typeof request?.roomId !== "string") throw new Refusal("INVALID_REQUEST", "`roomId` is missing");
      const answer = handle(request);
      if (typeof ack === "function") ack({ ok: true, ...answer });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message } = error;
      socket.emit("dialogue:error", { code, message });
      if (typeof ack === "function") ack({ ok: false, code, message });
    }
  });
}

/**
 * The user that the handshake names: taken at its word, which is enough for a benchmark.
 *
 * @param {Socket} socket
 * @returns {string}
 */
function userOf({ id, handshake }) {
  const { userId } = handshake.auth;
  return typeof userId === "string" ? userId : id;
}
