import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where the chat server is: its Socket.IO endpoint appears under the page's own origin. */
const server = process.env.SERVER ?? "http://localhost:3000";

export default defineConfig({
  plugins: [react()],
  // The client is a folder of this repository, with a React of its own for its tests.
  resolve: { dedupe: ["react"] },
  server: { proxy: { "/socket.io": { target: server, ws: true } } },
});
