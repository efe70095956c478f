import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type DialogueClientOptions } from "../src/index.js";
import type { Chat } from "./support/chat-contract.js";
import { ExampleServer } from "./support/example-server.js";
import { next, nextEvent } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

let server: ExampleServer;
let clients: DialogueClient<Chat>[];

beforeEach(async () => {
  server = await ExampleServer.start("chat");
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await server.kill();
});

async function connect(userId: string, options: DialogueClientOptions = {}): Promise<DialogueClient<Chat>> {
  const client = createDialogueClient<Chat>({
    url: server.url,
    auth: { userId },
    reconnectionDelayMs: 50,
    reconnectionDelayMaxMs: 100,
    ...options,
  });
  client.onError(() => {});
  clients.push(client);
  await client.connect();
  return client;
}

function message(text: string) {
  return { text };
}

test("a lost connection is opened again, its rooms are joined, and later events come exactly once", async () => {
  const ann = await connect("ann");
  const room = await ann.join("general");
  const texts: string[] = [];
  room.on("message", ({ data }) => texts.push(data.text));
  await room.trigger("message", message("before"));
  const firstId = ann.id;

  const lost = next<string>((handler) => ann.onDisconnect(handler));
  await server.kill();
  expect(await lost).toMatch(/transport/);
  expect(ann.state).toBe("connecting");

  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.restart();
  await connected;
  expect(ann.connected).toBe(true);
  expect(ann.id).not.toBe(firstId);

  const bobsRoom = await (await connect("bob")).join("general");
  const last = new Promise<void>((resolve) => {
    room.on("message", ({ data }) => data.text === "last" && resolve());
  });
  await bobsRoom.trigger("message", message("after"));
  await bobsRoom.trigger("message", message("last"));
  await last;
  expect(texts).toEqual(["before", "after", "last"]);
});

test("the subscriptions are those that the room had, not its defaults", async () => {
  const ann = await connect("ann");
  const room = await ann.join("general", { subscribe: ["message"] });
  await room.subscribe("typing");
  const events: string[] = [];
  room.onAny((event) => events.push(event));
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.kill();
  await server.restart();
  await connected;

  const bobsRoom = await (await connect("bob")).join("general");
  const heard = nextEvent(room, "message");
  await bobsRoom.trigger("typing", { isTyping: true });
  await bobsRoom.trigger("message", message("done"));
  await heard;
  expect(events).toEqual(["typing", "message"]);
});

test("a room that was left is not joined again", async () => {
  const ann = await connect("ann");
  await (await ann.join("general")).leave();
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.kill();
  await server.restart();
  await connected;
  expect(await ann.listRooms()).toMatchObject([{ id: "general", size: 0 }]);
});

test("what is triggered in the handler of the reconnection finds the room joined", async () => {
  const ann = await connect("ann");
  const room = await ann.join("general");
  const heard = nextEvent(room, "message");
  ann.onConnect(() => void room.trigger("message", message("back")));
  await server.kill();
  await server.restart();
  expect((await heard).data.text).toBe("back");
});

test("an answer that does not come in time is a timeout", async () => {
  const proxy = await Proxy.start(server.url);
  const ann = await connect("ann", { url: proxy.url, timeoutMs: 300, triggerTimeoutMs: 500 });
  const room = await ann.join("general");
  proxy.stall();
  await expect(room.subscribe("typing")).rejects.toMatchObject({ code: "TIMEOUT", roomId: "general" });
  const error = { code: "TIMEOUT", roomId: "general" };
  await expect(room.trigger("typing", { isTyping: true })).rejects.toMatchObject({ ...error, event: "typing" });
  await expect(room.trigger("message", message("slow"))).rejects.toMatchObject({ ...error, event: "message" });
  proxy.stop();
});

test("credentials are asked for anew, and a failure to give them is reported and tried again", async () => {
  const auth = vi
    .fn<() => Promise<object>>()
    .mockResolvedValueOnce({ userId: "ann" })
    .mockRejectedValueOnce(new Error("token service is down"))
    .mockResolvedValueOnce({ userId: "ann" });
  const ann = await connect("ann", { auth });
  await ann.join("general");
  const reported = next((handler) => ann.onError(handler));
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.kill();
  await server.restart();
  expect(await reported).toMatchObject({ code: "UNAUTHENTICATED", cause: expect.any(Error) });
  await connected;
  expect(auth).toHaveBeenCalledTimes(3);
  expect(ann.userId).toBe("ann");
});

test("a reconnection whose credentials are refused is reported, and ends there", async () => {
  const auth = vi.fn().mockReturnValueOnce({ userId: "ann" }).mockReturnValue({ userId: "system" });
  const ann = await connect("ann", { auth });
  const reported = next((handler) => ann.onError(handler));
  await server.kill();
  await server.restart();
  expect(await reported).toMatchObject({ code: "UNAUTHENTICATED" });
  expect(ann.state).toBe("disconnected");
});

test("without reconnection a lost connection stays lost until `connect`, which joins the rooms again", async () => {
  const ann = await connect("ann", { reconnection: false });
  const room = await ann.join("general");
  const lost = next<string>((handler) => ann.onDisconnect(handler));
  await server.kill();
  await lost;
  expect(ann.state).toBe("disconnected");
  await server.restart();
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await ann.connect();
  await connected;
  const heard = nextEvent(room, "message");
  await room.trigger("message", message("back"));
  expect((await heard).data.text).toBe("back");
});

test("the client gives up after as many attempts as it was told", async () => {
  const ann = await connect("ann", { reconnectionAttempts: 2 });
  const reported = next((handler) => ann.onError(handler));
  await server.kill();
  expect(await reported).toMatchObject({ code: "DISCONNECTED", message: "the server cannot be reached" });
  expect(ann.state).toBe("disconnected");
});

test("client_that_cannot_reach_the_server_says_so_and_keeps_trying", async () => {
  const ann = await connect("ann");
  const states: unknown[] = [];
  const reported = vi.fn();
  ann.onState((state, error) => states.push([state, error?.code]));
  ann.onError(reported);
  await server.kill();
  await vi.waitFor(() => expect(ann.error).toMatchObject({ code: "DISCONNECTED", message: "the server cannot be reached" }));
  // More attempts say nothing more.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.restart();
  await connected;
  expect(ann.error).toBeUndefined();
  expect(states).toEqual([["connecting", undefined], ["connecting", "DISCONNECTED"], ["connected", undefined]]);
  expect(reported).not.toHaveBeenCalled();
});

test("refusal_of_a_transport_is_told_with_its_code_and_retry_after", async () => {
  const body = { code: "LIMIT_EXCEEDED", message: "connections_per_address is reached", limit: "connections_per_address" };
  const http = createServer((_, response) => void response.writeHead(429, { "Retry-After": "3" }).end(JSON.stringify(body)));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void http.close());
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const refusal = { code: body.code, message: body.message, retryAfterMs: 3_000 };
  const client = createDialogueClient({ url, reconnectionDelayMs: 20 });
  onTestFinished(() => client.disconnect());
  await vi.waitFor(() => expect(client.error).toMatchObject(refusal));
  expect(client.state).toBe("connecting");
  const once = createDialogueClient({ url, autoConnect: false });
  once.onError(() => {});
  await expect(once.connect()).rejects.toMatchObject(refusal);
});

test("credentials that cannot be had count as attempts", async () => {
  const auth = vi.fn().mockResolvedValueOnce({ userId: "ann" }).mockRejectedValue(new Error("token service is down"));
  // Through a proxy, since a server that is started again may take longer than both attempts.
  const proxy = await Proxy.start(server.url);
  const ann = await connect("ann", { url: proxy.url, auth, reconnectionAttempts: 2 });
  const reported: unknown[] = [];
  const gaveUp = new Promise<void>((resolve) => {
    ann.onError(({ code }) => {
      reported.push([code, ann.state]);
      if (ann.state === "disconnected") resolve();
    });
  });
  proxy.cut();
  await gaveUp;
  proxy.stop();
  expect(reported).toEqual([
    ["UNAUTHENTICATED", "connecting"],
    ["UNAUTHENTICATED", "disconnected"],
  ]);
  expect(auth).toHaveBeenCalledTimes(3);
});

test("a client that may not try again does not", async () => {
  const ann = await connect("ann", { reconnectionAttempts: 0 });
  const lost = next<string>((handler) => ann.onDisconnect(handler));
  await server.kill();
  await lost;
  expect(ann.state).toBe("disconnected");
});

test("`connect` during a reconnection waits for it", async () => {
  const ann = await connect("ann");
  const lost = next<string>((handler) => ann.onDisconnect(handler));
  await server.kill();
  await lost;
  const connecting = ann.connect();
  await server.restart();
  await connecting;
  expect(ann.connected).toBe(true);
});

test("`disconnect` during a reconnection ends it", async () => {
  const ann = await connect("ann");
  const lost = next<string>((handler) => ann.onDisconnect(handler));
  await server.kill();
  await lost;
  const connecting = ann.connect();
  ann.disconnect();
  await expect(connecting).rejects.toMatchObject({ code: "DISCONNECTED" });
  expect(ann.state).toBe("disconnected");
});
