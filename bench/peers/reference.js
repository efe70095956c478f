// The algorithm of dialogue-ts as its documentation describes it, in an implementation of our own, on Node and on Bun.
//
// What takes time only where an application makes use of it is left out: hooks, sizes of rooms, subscriptions,
// and rooms that are made at run time.
import { Server } from "socket.io";
import { handleClient } from "./reference/client-handler.js";
import { RoomManager } from "./reference/room-manager.js";
import { rooms } from "./reference/rooms.js";

const { listen } = process.versions.bun ? await import("./listen/bun.js") : await import("./listen/node.js");

const io = new Server();
const manager = new RoomManager(io);
for (const [roomId, config] of rooms()) manager.register(roomId, config);

io.on("connection", (socket) => handleClient(socket, manager));

listen(io);
