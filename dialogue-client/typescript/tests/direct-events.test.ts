import { expect, test, vi } from "vitest";
import { createDialogueClient } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { login } from "./support/login.js";
import { next } from "./support/next.js";

test("events for this client alone reach handlers of before the connection, and of later ones", async () => {
  const server = await ExampleServer.start("authenticated");
  const client = createDialogueClient({
    url: server.url,
    auth: login("ann"),
    reconnectionDelayMs: 50,
    reconnectionDelayMaxMs: 100,
  });
  const [welcomed, removed, other] = [vi.fn(), vi.fn(), vi.fn()];
  client.on<{ role: string }>("welcome", welcomed);
  client.on("welcome", removed)();
  client.on("farewell", other);
  const first = next<{ role: string }>((handler) => client.on("welcome", handler));
  await client.connect();
  expect(await first).toEqual({ role: "a guest" });

  const second = next<{ role: string }>((handler) => client.on("welcome", handler));
  await server.kill();
  await server.restart();
  expect(await second).toEqual({ role: "a guest" });
  expect(welcomed.mock.calls).toEqual([[{ role: "a guest" }], [{ role: "a guest" }]]);
  expect(removed).not.toHaveBeenCalled();
  expect(other).not.toHaveBeenCalled();
  client.disconnect();
  await server.kill();
});

test.each([
  "dialogue:connected",
  "dialogue:",
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
])("%s is no name of such an event", (event) => {
  const client = createDialogueClient({ url: "http://127.0.0.1:1", autoConnect: false });
  expect(() => client.on(event, () => {})).toThrow(TypeError);
});
