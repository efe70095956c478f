// Plain Socket.IO on Node: rooms and a broadcast, and nothing that checks what is sent.
import { Server } from "socket.io";
import { listen } from "./listen/node.js";

const io = new Server();

io.on("connection", (socket) => {
  socket.on("dialogue:join", ({ roomId }, ack) => {
    socket.join(roomId);
    ack?.({ ok: true, roomId });
  });

  socket.on("dialogue:trigger", ({ roomId, event, data }) => {
    io.to(roomId).emit("dialogue:event", { event, roomId, data, from: socket.id, timestamp: Date.now() });
  });
});

listen(io);
