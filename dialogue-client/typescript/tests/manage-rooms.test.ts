import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type RoomInfo } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { next, nextEvent } from "./support/next.js";

/** Every room of the server carries messages. */
interface Lobby {
  rooms: { [id: string]: { triggers: { message: { text: string } }; events: { message: { text: string } } } };
}

let server: ExampleServer;
let clients: DialogueClient<Lobby>[];

beforeEach(async () => {
  server = await ExampleServer.start("rooms");
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await server.kill();
});

async function connect(userId: string): Promise<DialogueClient<Lobby>> {
  const client = createDialogueClient<Lobby>({
    url: server.url,
    auth: { userId },
    reconnectionDelayMs: 50,
    reconnectionDelayMaxMs: 100,
  });
  client.onError(() => {});
  clients.push(client);
  await client.connect();
  return client;
}

const DEN = { id: "den", name: "The Den", description: "For two.", maxSize: 2 };

describe("creating a room", () => {
  test("gives the room, tells everyone, and lets everyone join it", async () => {
    const [ann, bob] = [await connect("ann"), await connect("bob")];
    const told = Promise.all([ann, bob].map((client) => next<RoomInfo>((handler) => client.onRoomCreated(handler))));
    const info = { ...DEN, size: 0, createdById: "ann" };
    expect(await ann.createRoom(DEN)).toEqual(info);
    expect(await told).toEqual([info, info]);
    expect(await bob.listRooms()).toContainEqual(info);

    const [annsRoom, bobsRoom] = [await ann.join("den"), await bob.join("den")];
    const heard = nextEvent(bobsRoom, "message");
    await annsRoom.trigger("message", { text: "Here we are" });
    expect(await heard).toMatchObject({ roomId: "den", from: "ann", data: { text: "Here we are" } });
  });

  test("gives one that is joined by its id, whatever the contract names", async () => {
    interface Hall {
      triggers: { message: { text: string } };
      events: { message: { text: string } };
    }
    const ann = (await connect("ann")) as DialogueClient<any> as DialogueClient<{ rooms: { lobby: Hall } }>;
    const { id } = await ann.createRoom(DEN);
    const den = await ann.joinId<Hall>(id, { subscribe: ["message"] });
    const heard = nextEvent(den, "message");
    await den.trigger("message", { text: "Here I am" });
    expect((await heard).data.text).toBe("Here I am");
    expect(ann.getRoom(id)).toBe(den);
    expect(await ann.joinId<Hall>(id)).toBe(den);
    await expect(ann.joinId("doc:{id}")).rejects.toMatchObject({ code: "ROOM_NOT_FOUND", roomId: "doc:{id}" });
  });

  test("takes no more than an id and a name", async () => {
    const ann = await connect("ann");
    const created = await ann.createRoom({ id: "den", name: "The Den", description: undefined, maxSize: undefined });
    expect(created).toEqual({ id: "den", name: "The Den", size: 0, createdById: "ann" });
  });

  test("that the server refuses only rejects", async () => {
    const ann = await connect("ann");
    const reported = vi.fn();
    ann.onError(reported);
    await ann.createRoom(DEN);
    await expect(ann.createRoom(DEN)).rejects.toMatchObject({ code: "ROOM_EXISTS", roomId: "den" });
    await expect(ann.createRoom({ id: "other", name: "My lobby" })).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: "there is one lobby",
      roomId: "other",
    });
    expect(reported).not.toHaveBeenCalled();
  });

  test("is told no longer to a handler that was removed", async () => {
    const ann = await connect("ann");
    const removed = vi.fn();
    ann.onRoomCreated(removed)();
    const told = next<RoomInfo>((handler) => ann.onRoomCreated(handler));
    await ann.createRoom(DEN);
    await told;
    expect(removed).not.toHaveBeenCalled();
  });
});

describe("deleting a room", () => {
  test("ends it for its members before they are told, and tells everyone", async () => {
    const [ann, bob, cleo] = [await connect("ann"), await connect("bob"), await connect("cleo")];
    await ann.createRoom(DEN);
    const room = await bob.join("den");
    expect(bob.getRoom("den")).toBe(room);
    const told = Promise.all(
      [ann, bob, cleo].map((client) =>
        next<unknown>((handler) => client.onRoomDeleted((roomId) => handler([roomId, client.getRoom(roomId)]))),
      ),
    );
    await ann.deleteRoom("den");
    expect(await told).toEqual([
      ["den", undefined],
      ["den", undefined],
      ["den", undefined],
    ]);
    await expect(room.trigger("message", { text: "Hello?" })).rejects.toMatchObject({ code: "NOT_IN_ROOM", roomId: "den" });
    await room.leave();
    expect((await ann.listRooms()).map(({ id }) => id)).toEqual(["lobby"]);
  });

  test("and creating it anew gives a new room, of which the old one hears nothing", async () => {
    const [ann, bob] = [await connect("ann"), await connect("bob")];
    await ann.createRoom(DEN);
    const first = await bob.join("den");
    const heardByFirst = vi.fn();
    first.onAny(heardByFirst);
    const deleted = next<string>((handler) => bob.onRoomDeleted(handler));
    await ann.deleteRoom("den");
    await deleted;
    await ann.createRoom(DEN);
    const second = await bob.join("den");
    expect(second).not.toBe(first);
    const heard = nextEvent(second, "message");
    await second.trigger("message", { text: "New here" });
    await heard;
    expect(heardByFirst).not.toHaveBeenCalled();
  });

  test("creating it anew and joining it may follow at once", async () => {
    const ann = await connect("ann");
    await ann.createRoom(DEN);
    const [, , room] = await Promise.all([ann.deleteRoom("den"), ann.createRoom(DEN), ann.join("den")]);
    expect(ann.getRoom("den")).toBe(room);
    const heard = nextEvent(room, "message");
    await room.trigger("message", { text: "New here" });
    await heard;
  });

  test("leaves nothing to join again after a reconnection", async () => {
    const ann = await connect("ann");
    await ann.createRoom(DEN);
    await ann.join("den");
    await ann.join("lobby");
    await ann.deleteRoom("den");
    const reported: string[] = [];
    ann.onError(({ code }) => reported.push(code));
    const connected = next<void>((handler) => ann.onConnect(() => handler()));
    await server.kill();
    await server.restart();
    await connected;
    expect(ann.getRoom("lobby")).toBeDefined();
    expect(reported).not.toContain("ROOM_NOT_FOUND");
  });

  test("that is not one's own, or not there, rejects", async () => {
    const [ann, bob] = [await connect("ann"), await connect("bob")];
    await ann.createRoom(DEN);
    await expect(bob.deleteRoom("den")).rejects.toMatchObject({ code: "PERMISSION_DENIED", roomId: "den" });
    await expect(bob.deleteRoom("nowhere")).rejects.toMatchObject({ code: "ROOM_NOT_FOUND", roomId: "nowhere" });
    expect(await ann.join("den")).toMatchObject({ roomName: "The Den" });
  });
});
