import { afterEach, beforeEach, expect, test } from "vitest";
import { ExampleServer } from "../dialogue-client/typescript/tests/support/example-server.js";
import { Proxy } from "../dialogue-client/typescript/tests/support/proxy.js";
import { ChatPage } from "./support/chat-page.js";
import { PlainSocket } from "./support/plain-socket.js";
import { LOST_CONNECTION } from "./support/stage.js";
import { Tabs } from "./support/tabs.js";

let server: ExampleServer;
let proxy: Proxy;
let tabs: Tabs;

beforeEach(async () => {
  server = await ExampleServer.start("chat");
  proxy = await Proxy.start(server.url);
  tabs = await Tabs.open();
});
afterEach(async () => {
  await tabs.close();
  proxy.stop();
  await server.kill();
});

/** Opens the chat in a tab, and another tab before it. */
async function hidden(): Promise<ChatPage> {
  const ann = ChatPage.inTab(await tabs.add());
  await ann.enter(proxy.url, "Ann");
  await ann.say("Before");
  await tabs.add();
  await expect.poll(() => ann.page.evaluate(() => document.visibilityState)).toBe("hidden");
  return ann;
}

async function say(...texts: string[]): Promise<void> {
  const { socket: bob } = await PlainSocket.connect(server.url, "websocket", { userId: "Bob" });
  await bob.ask("dialogue:join", { roomId: "general" });
  for (const text of texts) {
    const trigger = { roomId: "general", event: "message", data: { text } };
    expect(await bob.ask("dialogue:trigger", trigger)).toMatchObject({ ok: true });
  }
  bob.close();
}

/** The page shows what was said, once and in order, and works. */
async function goesOn(ann: ChatPage, said: readonly string[]): Promise<void> {
  await ann.say("After");
  expect(await ann.texts()).toEqual([...said, "After"]);
  ann.forgive(LOST_CONNECTION);
  expect(ann.problems).toEqual([]);
}

test("a hidden tab shows what was said while it had no connection, once and in order", async () => {
  const ann = await hidden();
  await say("Connected");
  proxy.refuse();
  await ann.connection("reconnecting");
  await say("Away", "Far away");
  proxy.admit();
  await ann.page.bringToFront();
  await ann.connection("connected");
  await goesOn(ann, ["Before", "Connected", "Away", "Far away"]);
});

test("a tab that was frozen while the connection was lost comes back with all that was said", async () => {
  const ann = await hidden();
  const goOn = await tabs.freeze(ann.page);
  await say("Frozen");
  proxy.cut();
  await say("Away", "Far away");
  await goOn();
  await ann.page.bringToFront();
  await ann.hears("Far away");
  await ann.connection("connected");
  await goesOn(ann, ["Before", "Frozen", "Away", "Far away"]);
});

test("a page whose network went away and came back has missed nothing", async () => {
  const ann = ChatPage.inTab(await tabs.add());
  await ann.enter(proxy.url, "Ann");
  await ann.say("Before");
  await ann.page.context().setOffline(true);
  await ann.connection("reconnecting");
  await say("Away");
  await ann.page.context().setOffline(false);
  await ann.connection("connected");
  await goesOn(ann, ["Before", "Away"]);
});
