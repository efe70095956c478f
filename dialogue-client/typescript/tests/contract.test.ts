import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { Proxy } from "./support/proxy.js";

let server: ExampleServer;
let proxy: Proxy;
let client: DialogueClient;

beforeEach(async () => {
  server = await ExampleServer.start("chat");
  proxy = await Proxy.start(server.url);
});
afterEach(async () => {
  client.disconnect();
  proxy.stop();
  await server.kill();
});

test("a client says which contract it was made from, and tells the app of a server with another one", async () => {
  const asked = proxy.firstBytes();
  proxy.edit = (text) => [text.replace(/^(42\["dialogue:connected",.*)\}\]$/, `$1,"contract":"new"}]`)];
  client = createDialogueClient({ url: proxy.url, transports: ["websocket"], contract: "old" });
  const changed = vi.fn();
  client.onContractChanged(changed);
  await client.connect();
  expect(await asked).toMatch(/^GET \/socket\.io\/\?\S*\bcontract=old\b/);
  expect(changed).toHaveBeenCalledExactlyOnceWith("new");
});

test("a server with the same contract changes nothing", async () => {
  client = createDialogueClient({ url: proxy.url, contract: "same" });
  const changed = vi.fn();
  client.onContractChanged(changed);
  await client.connect();
  expect(changed).not.toHaveBeenCalled();
});
