// @vitest-environment happy-dom
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { next } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

const HOUR_MS = 3_600_000;

let server: ExampleServer;
let proxy: Proxy;
let client: DialogueClient;

beforeAll(async () => {
  server = await ExampleServer.start("chat");
});
beforeEach(async () => {
  proxy = await Proxy.start(server.url);
  client = createDialogueClient({
    url: proxy.url,
    transports: ["websocket"],
    reconnectionDelayMs: HOUR_MS,
    reconnectionDelayMaxMs: HOUR_MS,
  });
  client.onError(() => {});
});
afterEach(() => {
  client.disconnect();
  proxy.stop();
  visible(true);
});
afterAll(() => server.kill());

/** Shows or hides the page. */
function visible(visible: boolean): void {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(visible ? "visible" : "hidden");
  document.dispatchEvent(new Event("visibilitychange"));
}

/** Loses the connection, and resolves when the client waits for its next attempt. */
async function lose(): Promise<void> {
  const lost = next<string>((handler) => client.onDisconnect(handler));
  proxy.cut();
  await lost;
}

test("a client that waits for its next attempt tries at once when the page is shown again", async () => {
  const room = await client.join("general");
  visible(false);
  await lose();
  const connected = next<void>((handler) => client.onConnect(() => handler()));
  visible(true);
  await connected;
  expect(room.state).toBe("joined");
});

test("a client that waits for its next attempt tries at once when the network is back", async () => {
  await client.connect();
  await lose();
  const connected = next<void>((handler) => client.onConnect(() => handler()));
  window.dispatchEvent(new Event("online"));
  await connected;
  expect(client.state).toBe("connected");
});

test("an attempt that hangs is given up for another one when the network is back", async () => {
  await client.connect();
  proxy.stall();
  await lose();
  const tried = vi.fn();
  proxy.onLink = tried;
  window.dispatchEvent(new Event("online"));
  await expect.poll(() => tried).toHaveBeenCalledTimes(1);
  proxy.flow();
  const connected = next<void>((handler) => client.onConnect(() => handler()));
  window.dispatchEvent(new Event("online"));
  await connected;
  expect(tried).toHaveBeenCalledTimes(2);
});

test("a server that said when to come back is not asked before", async () => {
  await client.connect();
  const linked = vi.fn();
  proxy.onLink = linked;
  const lost = next<string>((handler) => client.onDisconnect(handler));
  proxy.say('42["dialogue:draining",{"reconnectAfterMs":400}]');
  proxy.disconnect();
  await lost;
  const since = performance.now();
  const connected = next<void>((handler) => client.onConnect(() => handler()));
  window.dispatchEvent(new Event("online"));
  visible(true);
  await connected;
  expect(performance.now() - since).toBeGreaterThan(390);
  expect(linked).toHaveBeenCalledTimes(1);
});

test("a page that is shown costs a connected client nothing, and a disconnected one stays so", async () => {
  await client.connect();
  const states = vi.fn();
  client.onState(states);
  visible(false);
  visible(true);
  window.dispatchEvent(new Event("online"));
  expect(await client.listRooms()).toHaveLength(1);
  client.disconnect();
  window.dispatchEvent(new Event("online"));
  visible(true);
  expect(client.state).toBe("disconnected");
  expect(states.mock.calls).toEqual([["disconnected", undefined]]);
});
