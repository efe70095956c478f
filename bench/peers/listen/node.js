// Socket.IO on Node's HTTP server.
import { createServer } from "node:http";

/**
 * Listens on a free port, and says which.
 *
 * @param {import("socket.io").Server} io
 */
export function listen(io) {
  const server = createServer();
  io.attach(server);
  server.listen(0, "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`listening on 127.0.0.1:${port}`);
  });
}
