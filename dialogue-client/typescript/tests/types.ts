/**
 * What must compile, and what must not: checked by the compiler, never run.
 */
import {
  createDialogueClient,
  type DialogueClient,
  type EventMessage,
  type HistoryPage,
  type Room,
  type RoomInfo,
  type RoomState,
} from "../src/index.js";

interface Edit {
  at: number;
  insert: string;
}

interface Contract {
  rooms: {
    general: {
      triggers: { message: { text: string }; ping: null };
      events: { message: { text: string }; ping: null; "user:left": { userId: string } };
    };
    "doc:{documentId}": { triggers: { edited: Edit }; events: { edited: Edit } };
    "team:{team}:board:{board}": { triggers: object; events: object };
    log: {
      triggers: { line: { text: string }; [event: string]: unknown };
      events: { line: { text: string }; [event: string]: unknown };
    };
  };
}

interface Lobby {
  rooms: { [id: string]: { triggers: { message: { text: string } }; events: { message: { text: string } } } };
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function expect<T extends true>(): T | void {}

declare const client: DialogueClient<Contract>;
declare const open: DialogueClient;
declare const lobby: DialogueClient<Lobby>;

export async function rooms(): Promise<void> {
  await client.join("general");
  await client.join("general", { subscribe: ["message", "*"] });
  await client.join("doc:{documentId}", { documentId: "42" });
  await client.join("doc:{documentId}", { documentId: 42 }, { subscribe: ["edited"] });
  await client.join("team:{team}:board:{board}", { team: "blue", board: 1 });

  // @ts-expect-error a room that the contract does not have
  await client.join("generel");
  // @ts-expect-error an id in place of the pattern
  await client.join("doc:42");
  // @ts-expect-error a family without its parameters
  await client.join("doc:{documentId}");
  // @ts-expect-error a parameter of another name
  await client.join("doc:{documentId}", { id: "42" });
  // @ts-expect-error one parameter too few
  await client.join("team:{team}:board:{board}", { team: "blue" });
  // @ts-expect-error a parameter that is no text or number
  await client.join("doc:{documentId}", { documentId: { id: 42 } });
  // @ts-expect-error options where a plain room takes no parameters
  await client.join("general", {}, { subscribe: ["message"] });
  // @ts-expect-error a subscription to what the room does not have
  await client.join("general", { subscribe: ["edited"] });
}

export async function events(): Promise<void> {
  const room = await client.join("general");
  room.on("message", (message) => {
    expect<Equal<typeof message, EventMessage<{ text: string }, "message">>>();
  });
  room.on("user:left", async ({ data }) => data.userId);
  room.onAny((event, message) => {
    expect<Equal<typeof event, "message" | "ping" | "user:left">>();
    if (message.event === "message") message.data.text;
    // @ts-expect-error not narrowed to an event with text
    message.data.text;
  });
  for (const message of room.history) {
    if (message.event === "user:left") message.data.userId;
  }
  expect<Equal<Awaited<ReturnType<typeof room.getHistory<"message">>>[number]["data"], { text: string }>>();
  await room.subscribe("user:left");
  await room.unsubscribe("message");

  // @ts-expect-error an event that the room does not have
  room.on("edited", () => {});
  // @ts-expect-error a payload of one's own choosing
  room.on<{ body: string }>("message", () => {});
  // @ts-expect-error a field that the payload does not have
  room.on("message", ({ data }) => data.body);
  // @ts-expect-error an event that the room does not have
  await room.subscribe("edited");
  // @ts-expect-error an event that the room does not have
  await room.getHistory("edited");
}

export async function triggers(): Promise<void> {
  const room = await client.join("general");
  const { seq } = await room.trigger("message", { text: "hello" }, { trace: 1 });
  expect<Equal<typeof seq, number | undefined>>();
  await room.trigger("ping");
  await room.trigger("ping", null, { trace: 1 });

  // @ts-expect-error an event that only the server triggers
  await room.trigger("user:left", { userId: "ann" });
  // @ts-expect-error an event that the room does not have
  await room.trigger("edited", { at: 0, insert: "a" });
  // @ts-expect-error a payload of another shape
  await room.trigger("message", { text: 7 });
  // @ts-expect-error a payload with a field too many
  await room.trigger("message", { text: "hello", colour: "red" });
  // @ts-expect-error a payload that is missing
  await room.trigger("message");
}

export async function mixedRooms(): Promise<void> {
  const log = await client.join("log");
  log.on("line", ({ data }) => data.text);
  log.on<{ level: number }>("metric", ({ data }) => data.level);
  await log.trigger("anything", { at: 1 });
  // @ts-expect-error a payload of another shape
  await log.trigger("line", { text: 7 });
}

export async function openRooms(): Promise<void> {
  const room: Room = await open.join("anything");
  await open.join("anything", { subscribe: ["whatever"] });
  await open.join("doc:{documentId}", { documentId: "42" });
  room.on<{ text: string }>("message", ({ data }) => data.text);
  room.on("message", ({ data }) => {
    expect<Equal<typeof data, unknown>>();
  });
  room.onAny((event, message) => {
    expect<Equal<typeof event, string>>();
    expect<Equal<typeof message.data, unknown>>();
  });
  const history = await room.getHistory<{ text: string }>("message", 0, 20);
  expect<Equal<(typeof history)[number]["data"], { text: string }>>();
  await room.trigger("ping");
  await room.trigger("message", { text: "hello" });
  // @ts-expect-error payloads are unknown until the caller says what they are
  room.on("message", ({ data }) => data.text);
}

export async function createdRooms(): Promise<void> {
  const info = await lobby.createRoom({ id: "den", name: "The Den", maxSize: 2 });
  expect<Equal<typeof info, RoomInfo>>();
  const den = await lobby.join(info.id);
  den.on("message", ({ data }) => data.text);
  const got = lobby.getRoom("den");
  expect<Equal<typeof got, Room<Lobby["rooms"][string]> | undefined>>();
  lobby.onRoomCreated(({ name }) => name);
  lobby.onRoomDeleted((roomId) => roomId.length);
  expect<Equal<Awaited<ReturnType<typeof lobby.deleteRoom>>, void>>();

  const anyRoom = await client.joinId("den");
  expect<Equal<typeof anyRoom, Room>>();
  const typed = await client.joinId<Contract["rooms"]["general"]>("den", { subscribe: ["message", "*"] });
  expect<Equal<typeof typed, Room<Contract["rooms"]["general"]>>>();
  // @ts-expect-error an event that only the server triggers
  await typed.trigger("user:left", { userId: "ann" });
  // @ts-expect-error a subscription to what the room does not have
  await client.joinId<Contract["rooms"]["general"]>("den", { subscribe: ["edited"] });

  // @ts-expect-error a room without a name
  await lobby.createRoom({ id: "den" });
  // @ts-expect-error a limit that is no number
  await lobby.createRoom({ id: "den", name: "The Den", maxSize: "2" });
}

export async function oneOfSeveral(id: "general" | "log"): Promise<void> {
  const room = await client.join(id);
  expect<Equal<typeof room, Room<Contract["rooms"]["general"]> | Room<Contract["rooms"]["log"]>>>();
  // @ts-expect-error a payload that one of the rooms does not take
  await room.trigger("message", { body: "hello" });
  if (room.roomId === "general") await (room as Room<Contract["rooms"]["general"]>).trigger("message", { text: "hello" });
  const got = client.getRoom(id);
  expect<Equal<typeof got, typeof room | undefined>>();
}

export function joinedRooms(id: string): void {
  const general = client.getRoom("general");
  expect<Equal<typeof general, Room<Contract["rooms"]["general"]> | undefined>>();
  const doc = client.getRoom("doc:42");
  expect<Equal<typeof doc, Room | undefined>>();
  const some = client.getRoom(id);
  expect<Equal<typeof some, Room | undefined>>();
  const any = open.getRoom("general");
  expect<Equal<typeof any, Room | undefined>>();
  // @ts-expect-error an event that the room does not have
  general?.on("edited", () => {});
}

export async function authentication(): Promise<void> {
  const { expiresAt } = await client.authenticate();
  expect<Equal<typeof expiresAt, number | undefined>>();
  await client.authenticate({ token: "t" });
  await client.authenticate(async () => ({ token: "t" }));
  // @ts-expect-error credentials that are no object
  await client.authenticate("token");
  // @ts-expect-error a function that gives no object
  await client.authenticate(async () => "token");
}

export function directEvents(): void {
  client.on<{ role: string }>("welcome", ({ role }) => role);
  client.on("welcome", (payload) => {
    expect<Equal<typeof payload, unknown>>();
  });
  // @ts-expect-error payloads are unknown until the caller says what they are
  client.on("welcome", ({ role }) => role);
}

export function typedDirectEvents(): void {
  interface Club extends Contract {
    direct: { welcome: { role: string }; farewell: null };
  }
  const club = createDialogueClient<Club>({ autoConnect: false });
  club.on("welcome", (payload) => {
    expect<Equal<typeof payload, { role: string }>>();
  });
  club.on("farewell", (payload) => {
    expect<Equal<typeof payload, null>>();
  });
  // @ts-expect-error an event that the server does not send to one client
  club.on("message", () => {});
  // @ts-expect-error a field that the payload does not have
  club.on("welcome", ({ name }) => name);
}

export function options(): void {
  createDialogueClient({ auth: { userId: "ann" } });
  createDialogueClient<Contract>({ url: "wss://example.com", auth: async () => ({ token: "t" }) });
  class Credentials {
    readonly token = "t";
  }
  createDialogueClient({ auth: new Credentials() });
  createDialogueClient({ auth: () => new Credentials() });
  // @ts-expect-error credentials that are no object
  createDialogueClient({ auth: "token" });
  // @ts-expect-error a function that gives no object
  createDialogueClient({ auth: () => "token" });
  // @ts-expect-error a function that gives no object
  createDialogueClient({ auth: async () => "token" });
  // @ts-expect-error a function that gives nothing
  createDialogueClient({ auth: () => {} });
  // @ts-expect-error a function that gives a function
  createDialogueClient({ auth: () => () => ({ token: "t" }) });
  // @ts-expect-error a contract without triggers
  createDialogueClient<{ rooms: { general: { events: object } } }>();
}

export async function states(): Promise<void> {
  const room = await client.join("general", { signal: AbortSignal.timeout(1_000) });
  expect<Equal<typeof room.state, "joining" | "joined" | "rejoining" | "left" | "denied">>();
  room.onState((state) => {
    expect<Equal<typeof state, RoomState>>();
  });
  room.onReset(() => room.history.length);
  // @ts-expect-error a state is read, not set
  room.state = "left";
}

export async function triggerOptions(): Promise<void> {
  const room = await client.join("general");
  const { signal } = new AbortController();
  await room.trigger("message", { text: "hello" }, undefined, { key: "order 7", timeoutMs: 1_000, signal });
  await room.trigger("ping", null, {}, { key: "order 8" });
  // @ts-expect-error an option that there is not
  await room.trigger("message", { text: "hello" }, undefined, { retries: 3 });
  // @ts-expect-error a key that is no text
  await room.trigger("message", { text: "hello" }, undefined, { key: 7 });
}

export async function streams(): Promise<void> {
  const room = await client.join("general");
  for await (const message of room.events("message", { signal: AbortSignal.timeout(1_000) })) {
    expect<Equal<typeof message, EventMessage<{ text: string }, "message">>>();
  }
  const anything = await open.join("anything");
  for await (const { data } of anything.events<{ text: string }>("message")) data.text;
  for await (const { data } of anything.events("message")) {
    expect<Equal<typeof data, unknown>>();
  }
  // @ts-expect-error an event that the room does not have
  room.events("edited");
}

export async function pages(): Promise<void> {
  const room = await client.join("general");
  const page = await room.getHistory("message", { before: 7, limit: 20 });
  expect<Equal<typeof page, HistoryPage<EventMessage<{ text: string }, "message">>>>();
  await room.getHistory("message", { after: 0, signal: AbortSignal.timeout(1_000) });
  await room.getHistory("message", { start: 0, end: 20 });
  const list = await room.getHistory("message", 0, 20);
  expect<Equal<(typeof list)[number]["data"], { text: string }>>();
  const anything = await open.join("anything");
  (await anything.getHistory<{ text: string }>("message", { after: 7 })).events[0]?.data.text;
  // @ts-expect-error a cursor that is no place in the log
  await room.getHistory("message", { before: "7" });
  // @ts-expect-error a page is no list
  page.length;
}

export function clientEvents(): void {
  client.onHistory((roomId, events) => {
    expect<Equal<typeof roomId, string>>();
    expect<Equal<typeof events, EventMessage[]>>();
  });
  client.onContractChanged((hash) => {
    expect<Equal<typeof hash, string>>();
  });
  createDialogueClient({ autoConnect: false, contract: "hash", triggerTimeoutMs: 5_000, outboxSize: 10 });
  // @ts-expect-error a hash that is no text
  createDialogueClient({ contract: 7 });
}
