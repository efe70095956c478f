// Socket.IO on Bun's own HTTP server and WebSockets. Only Bun can import this.
import { Server as Engine } from "@socket.io/bun-engine";

/**
 * Listens on a free port, and says which.
 *
 * @param {import("socket.io").Server} io
 */
export function listen(io) {
  const engine = new Engine({ path: "/socket.io/" });
  io.bind(engine);
  const { port } = Bun.serve({ hostname: "127.0.0.1", port: 0, ...engine.handler() });
  console.log(`listening on 127.0.0.1:${port}`);
}
