import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, DialogueError } from "../src/index.js";
import type { Chat } from "./support/chat-contract.js";
import { ExampleServer } from "./support/example-server.js";
import { next, nextEvent } from "./support/next.js";

let server: ExampleServer;
let clients: DialogueClient<Chat>[] = [];

beforeAll(async () => {
  server = await ExampleServer.start("chat");
});
afterEach(() => {
  for (const client of clients) client.disconnect();
  clients = [];
});
afterAll(() => server.kill());

async function connect(userId: string): Promise<DialogueClient<Chat>> {
  const client = createDialogueClient<Chat>({ url: server.url, auth: { userId } });
  client.onError(() => {});
  clients.push(client);
  await client.connect();
  return client;
}

function message(text: string) {
  return { text };
}

describe("joining", () => {
  test("gives the room, with the newest events first", async () => {
    const ann = await connect("ann");
    const room = await ann.join("general");
    await room.trigger("message", message("older"));
    await room.trigger("message", message("newer"));
    const joined = await (await connect("bob")).join("general");
    expect(joined).toMatchObject({ roomId: "general", roomName: "General Chat" });
    expect(joined.history.slice(0, 2)).toMatchObject([{ data: { text: "newer" } }, { data: { text: "older" } }]);
  });

  test("a room that is not there is refused", async () => {
    const open = createDialogueClient({ url: server.url });
    await open.connect();
    await expect(open.join("nowhere")).rejects.toMatchObject({ code: "ROOM_NOT_FOUND", roomId: "nowhere" });
    open.disconnect();
  });

  test("twice at once gives the same room", async () => {
    const ann = await connect("ann");
    const [first, second] = await Promise.all([ann.join("general"), ann.join("general")]);
    expect(second).toBe(first);
    expect(await ann.join("general")).toBe(first);
  });

  test("while others write neither loses nor repeats an event", async () => {
    const ann = await connect("ann");
    const room = await ann.join("general", { subscribe: [] });
    const sent = Array.from({ length: 40 }, (_, index) => `flight ${index}`);
    const sending = sent.map((text) => room.trigger("message", message(text)));
    const joined = await (await connect("bob")).join("general");
    // Later on, it has the events that have come since, too.
    const { history } = joined;
    const live: string[] = [];
    const done = new Promise<void>((resolve) => {
      joined.on("message", ({ data }) => {
        if (data.text === "landed") resolve();
        else live.push(data.text);
      });
    });
    await Promise.all(sending);
    await room.trigger("message", message("landed"));
    await done;
    const past = history.flatMap((event) => (event.event === "message" ? [event.data.text] : []));
    expect([...past.reverse(), ...live].filter((text) => text.startsWith("flight"))).toEqual(sent);
  });

  test("with subscriptions takes them in place of the room's own", async () => {
    const ann = await connect("ann");
    const bob = await connect("bob");
    const room = await ann.join("general", { subscribe: ["typing"] });
    const events: string[] = [];
    room.onAny((event) => events.push(event));
    const typing = nextEvent(room, "typing");
    const other = await bob.join("general");
    await other.trigger("message", message("not heard"));
    await other.trigger("typing", { isTyping: true });
    await typing;
    expect(events).toEqual(["typing"]);
    expect(room.history).toEqual([]);
  });
});

describe("triggering", () => {
  test("hands the event to everyone, the sender included, in the place that the receipt says", async () => {
    const ann = await connect("ann");
    const bob = await connect("bob");
    const [annsRoom, bobsRoom] = [await ann.join("general"), await bob.join("general")];
    const heard = Promise.all([
      nextEvent(annsRoom, "message"),
      nextEvent(bobsRoom, "message"),
    ]);
    const receipt = await annsRoom.trigger("message", message("hello"), { trace: "t-1" });
    for (const event of await heard) {
      expect(event).toMatchObject({
        event: "message",
        roomId: "general",
        from: "ann",
        data: { text: "hello" },
        meta: { trace: "t-1" },
        timestamp: expect.any(Number),
        ...receipt,
      });
    }
  });

  test("an event without a history has an empty receipt", async () => {
    const room = await (await connect("ann")).join("general");
    expect(await room.trigger("typing", { isTyping: true })).toEqual({});
  });

  test("what is not valid rejects with its issues and reaches `onError`", async () => {
    const ann = await connect("ann");
    const reported = next((handler) => ann.onError(handler));
    const room = await ann.join("general");
    const error: unknown = await room.trigger("message", message("")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DialogueError);
    expect(error).toMatchObject({
      code: "VALIDATION_FAILED",
      roomId: "general",
      event: "message",
      issues: [{ path: "text", code: "length" }],
    });
    expect(await reported).toBe(error);
  });

  test("a failure that nobody awaits reaches `onError`, and is no unhandled rejection", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const ann = await connect("ann");
    const room = await ann.join("general");
    const reported = next((handler) => ann.onError(handler));
    void room.trigger("message", message(""));
    expect(await reported).toMatchObject({ code: "VALIDATION_FAILED" });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test("an event of the server is refused", async () => {
    const open = createDialogueClient({ url: server.url });
    open.onError(() => {});
    await open.connect();
    const room = await open.join("general");
    await expect(room.trigger("user:joined", { userId: "eve", username: "Eve" })).rejects.toMatchObject({
      code: "EVENT_NOT_ALLOWED",
      event: "user:joined",
    });
    open.disconnect();
  });

  test("a payload that is no JSON is refused before it is sent", async () => {
    const open = createDialogueClient({ url: server.url });
    open.onError(() => {});
    await open.connect();
    const room = await open.join("general");
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    await expect(room.trigger("message", loop)).rejects.toMatchObject({ code: "INVALID_REQUEST", event: "message" });
    open.disconnect();
  });

  test("events arrive in the order of their triggers", async () => {
    const room = await (await connect("ann")).join("general");
    const texts: string[] = [];
    room.on("message", ({ data }) => texts.push(data.text));
    const sent = Array.from({ length: 100 }, (_, index) => `in order ${index}`);
    const last = new Promise<void>((resolve) => {
      room.on("message", ({ data }) => data.text === sent.at(-1) && resolve());
    });
    await Promise.all(sent.map((text) => room.trigger("message", message(text))));
    await last;
    expect(texts).toEqual(sent);
  });
});

describe("subscriptions", () => {
  test("can be added and taken away", async () => {
    const [ann, bob] = [await connect("ann"), await connect("bob")];
    const [annsRoom, bobsRoom] = [await ann.join("general"), await bob.join("general")];
    const events: string[] = [];
    annsRoom.onAny((event) => events.push(event));
    const barrier = async (text: string) => {
      const heard = new Promise<void>((resolve) => {
        const off = annsRoom.on("message", ({ data }) => {
          if (data.text !== text) return;
          off();
          resolve();
        });
      });
      await bobsRoom.trigger("message", message(text));
      await heard;
      return events.splice(0);
    };
    await barrier("start");
    await bobsRoom.trigger("typing", { isTyping: true });
    expect(await barrier("by default")).toEqual(["message"]);
    await annsRoom.subscribe("typing");
    await bobsRoom.trigger("typing", { isTyping: true });
    expect(await barrier("subscribed")).toEqual(["typing", "message"]);
    await annsRoom.unsubscribe("typing");
    await bobsRoom.trigger("typing", { isTyping: true });
    expect(await barrier("unsubscribed")).toEqual(["message"]);
    await annsRoom.subscribeAll();
    await bobsRoom.trigger("typing", { isTyping: true });
    expect(await barrier("all")).toEqual(["typing", "message"]);
  });

  test("are known", async () => {
    const ann = await connect("ann");
    const room = await ann.join("general", { subscribe: ["message"] });
    expect(room.subscriptions).toEqual(["message"]);
    await room.subscribe("typing");
    expect(room.subscriptions).toEqual(["message", "typing"]);
    await room.unsubscribe("message");
    expect(room.subscriptions).toEqual(["typing"]);
  });
});

describe("history", () => {
  test("is read in pages, newest first", async () => {
    const room = await (await connect("ann")).join("general");
    for (const text of ["one", "two", "three", "four"]) await room.trigger("message", message(text));
    const texts = async (start?: number, end?: number) =>
      (await room.getHistory("message", start, end)).map(({ data }) => data.text);
    expect(await texts(0, 2)).toEqual(["four", "three"]);
    expect(await texts(2, 4)).toEqual(["two", "one"]);
    expect((await texts()).slice(0, 4)).toEqual(["four", "three", "two", "one"]);
    expect((await texts()).length).toBeLessThanOrEqual(50);
  });
});

describe("leaving", () => {
  test("ends the room, and joining again gives a new one that works", async () => {
    const ann = await connect("ann");
    const bob = await connect("bob");
    const bobsRoom = await bob.join("general");
    const left = nextEvent(bobsRoom, "user:left");
    const first = await ann.join("general");
    const heardByFirst = vi.fn();
    first.on("message", heardByFirst);
    await first.leave();
    expect((await left).data).toEqual({ userId: "ann" });
    await expect(first.trigger("message", message("gone"))).rejects.toMatchObject({ code: "NOT_IN_ROOM" });
    await first.leave();

    const second = await ann.join("general");
    expect(second).not.toBe(first);
    const heard = nextEvent(second, "message");
    await bobsRoom.trigger("message", message("welcome back"));
    expect((await heard).data.text).toBe("welcome back");
    expect(heardByFirst).not.toHaveBeenCalled();
  });

  test("and joining at once without waiting works as well", async () => {
    const ann = await connect("ann");
    const first = await ann.join("general");
    void first.leave();
    const second = await ann.join("general");
    expect(second).not.toBe(first);
    const heard = nextEvent(second, "message");
    await second.trigger("message", message("still here"));
    expect((await heard).data.text).toBe("still here");
  });
});

