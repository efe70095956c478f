/**
 * The usage that the reference's client page shows, statement by statement: but
 * for the import, the types, and the rooms that the example servers have.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type EventMessage, type Room } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";

let server: ExampleServer;
let url: string;
const log = vi.fn();

async function serve(example: "chat" | "rooms"): Promise<void> {
  server = await ExampleServer.start(example);
  url = server.url.replace("http:", "ws:");
}

beforeEach(() => {
  log.mockReset();
});
afterEach(() => server.kill());

test("the complete example", async () => {
  await serve("chat");
  let client!: DialogueClient;
  let chat!: Room;

  async function main() {
    client = createDialogueClient({
      url,
      auth: {
        userId: "user-123",
        token: "my-jwt-token",
      },
    });
    client.onConnect(() => {
      log("Connected as:", client.userId);
    });
    client.onDisconnect((reason) => {
      log("Disconnected:", reason);
    });
    client.onError((error) => {
      log("Error:", error.message);
    });
    await client.connect();
    const rooms = await client.listRooms();
    log("Available rooms:", rooms);
    chat = await client.join("general");
    log(`Joined: ${chat.roomName}`);
    chat.on<{ text: string; senderId: string }>("message", (msg) => {
      log(`[${msg.from}] ${msg.data.text}`);
    });
    chat.on<{ isTyping: boolean }>("typing", (msg) => {
      if (msg.data.isTyping) {
        log(`${msg.from} is typing...`);
      }
    });
    // The chat subscribes its joiners to messages alone.
    chat.subscribe("typing");
    chat.trigger("message", {
      text: "Hello, everyone!",
      senderId: client.userId,
    });
    chat.trigger("typing", { isTyping: true });
  }

  await main();
  await vi.waitFor(() => expect(log).toHaveBeenCalledWith("user-123 is typing..."));
  chat.leave();
  client.disconnect();
  expect(log.mock.calls).toEqual([
    ["Connected as:", "user-123"],
    ["Available rooms:", [expect.objectContaining({ id: "general", name: "General Chat", size: 0 })]],
    ["Joined: General Chat"],
    ["[user-123] Hello, everyone!"],
    ["user-123 is typing..."],
    ["Disconnected:", "io client disconnect"],
  ]);
});

describe("the examples of each method", () => {
  const connect = async () => {
    const client = createDialogueClient({ url, auth: { userId: "user-123" }, reconnection: true, reconnectionAttempts: 5 });
    client.onError((error) => {
      log("Error:", error.message);
    });
    try {
      await client.connect();
      log("Connected as:", client.userId);
    } catch (error) {
      log("Connection failed:", error);
    }
    return client;
  };

  test("of a room", async () => {
    await serve("chat");
    const client = await connect();
    expect(log).toHaveBeenCalledWith("Connected as:", "user-123");
    expect(client.state).toBe("connected");
    await client.join("general");

    const chat = client.getRoom("general");
    if (chat) {
      chat.trigger("message", { text: "Hello!", senderId: client.userId });
    }
    const anyCalls: [string, EventMessage][] = [];
    chat!.onAny((eventName, msg) => {
      anyCalls.push([eventName, msg]);
    });
    const unsubscribe = chat!.on<{ text: string; senderId: string }>("message", (msg) => {
      log(`[${msg.from}] ${msg.data.text}`);
      log(`Received at: ${new Date(msg.timestamp)}`);
    });
    chat!.subscribeAll();
    chat!.trigger(
      "message",
      { text: "with meta", senderId: client.userId },
      { sessionId: "abc-123", variant: "A", timestamp: Date.now() },
    );
    await vi.waitFor(() => expect(log).toHaveBeenCalledWith("[user-123] with meta"));
    unsubscribe();
    expect(anyCalls.at(-1)).toEqual([
      "message",
      expect.objectContaining({ meta: { sessionId: "abc-123", variant: "A", timestamp: expect.any(Number) } }),
    ]);

    for (let number = 0; number < 40; number++) {
      await chat!.trigger("message", { text: `${number}`, senderId: client.userId });
    }
    let messages: EventMessage[] = await chat!.getHistory("message", 0, 20);
    async function loadMore() {
      const currentCount = messages.length;
      const older = await chat!.getHistory("message", currentCount, currentCount + 20);
      messages = [...messages, ...older];
    }
    await loadMore();
    const texts = messages.map(({ data }) => (data as { text: string }).text);
    expect(texts).toEqual(Array.from({ length: 40 }, (_, index) => `${39 - index}`));
    chat!.unsubscribe("typing");
    chat!.leave();
    client.disconnect();
  });

  test("of rooms that clients create", async () => {
    await serve("rooms");
    const client = await connect();
    const [updateRoomList, showMessage, addMessage] = [vi.fn(), vi.fn(), vi.fn()];
    let currentRoomId = "";
    client.onRoomCreated((room) => {
      log(`New room available: ${room.name}`);
      updateRoomList();
    });
    client.onRoomDeleted((roomId) => {
      log(`Room deleted: ${roomId}`);
      if (currentRoomId === roomId) {
        showMessage("This room has been deleted");
      }
    });
    client.onHistory((roomId, events) => {
      log(`Received ${events.length} historical events for ${roomId}`);
      events.forEach((event) => {
        addMessage(event, { isHistory: true });
      });
    });
    const roomInfo = await client.createRoom({
      id: "tech-talk",
      name: "Tech Talk",
      description: "Discuss the latest in technology",
      maxSize: 100,
    });
    log(`Created room: ${roomInfo.name}`);
    const room = await client.join(roomInfo.id);
    currentRoomId = room.roomId;
    const rooms = await client.listRooms();
    for (const room of rooms) {
      log(`${room.name}: ${room.size}/${room.maxSize ?? "∞"} participants`);
    }
    await room.trigger("message", { text: "hello" });

    const other = await connect();
    other.onHistory((roomId, events) => log(`Received ${events.length} historical events for ${roomId}`));
    await other.join("tech-talk");
    try {
      await client.deleteRoom("tech-talk");
      log("Room deleted successfully");
    } catch (error) {
      log("Failed to delete room:", (error as Error).message);
    }
    await vi.waitFor(() => expect(showMessage).toHaveBeenCalledWith("This room has been deleted"));
    const logged = log.mock.calls.map(([line]) => line as string);
    for (const line of [
      "New room available: Tech Talk",
      "Created room: Tech Talk",
      "Lobby: 0/∞ participants",
      "Tech Talk: 1/100 participants",
      "Received 1 historical events for tech-talk",
      "Room deleted: tech-talk",
      "Room deleted successfully",
    ]) {
      expect(logged).toContain(line);
    }
    expect(updateRoomList).toHaveBeenCalledTimes(1);
    for (const one of [client, other]) one.disconnect();
  });
});
