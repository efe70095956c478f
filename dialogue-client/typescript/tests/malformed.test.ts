/** What becomes of packets that do not have their shape: thousands of them, from a server that means harm. */
import { expect, onTestFinished, test, vi } from "vitest";
import { createDialogueClient, DialogueError, type DialogueClient, type EventMessage, type HistoryPage, type Room, type RoomInfo } from "../src/index.js";
import { HostileServer, mutations, welcome } from "./support/hostile-server.js";
import { next } from "./support/next.js";

/** Names that every object has something under, and others that mean something to somebody. */
const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "then", "a b", '"', "`${x}`", "\n", "\u2028", "消息"];

/** What no caller can catch, since the test began. */
function uncaught(): unknown[] {
  const errors: unknown[] = [];
  const note = (error: unknown) => void errors.push(error);
  process.on("uncaughtException", note).on("unhandledRejection", note);
  onTestFinished(() => void process.off("uncaughtException", note).off("unhandledRejection", note));
  return errors;
}

async function start(auth?: () => object): Promise<{ server: HostileServer; client: DialogueClient; errors: DialogueError[] }> {
  const server = await HostileServer.start();
  const client = createDialogueClient({ url: server.url, transports: ["websocket"], auth, reconnectionDelayMs: 1, reconnectionDelayMaxMs: 1, timeoutMs: 5_000 });
  const errors: DialogueError[] = [];
  client.onError((error) => errors.push(error));
  onTestFinished(() => client.disconnect());
  await client.connect();
  return { server, client, errors };
}

function isMessage({ event, roomId, from, seq = 0, prev = 0 }: EventMessage): boolean {
  return [event, roomId, from].every((text) => typeof text === "string") && [seq, prev].every(Number.isSafeInteger);
}

function isInfo({ id, name }: RoomInfo): boolean {
  return typeof id === "string" && typeof name === "string";
}

/** Resolves when the client has taken in all that the server has said. */
async function settled(server: HostileServer, client: DialogueClient): Promise<void> {
  const marked = next((handler) => client.on("mark", handler));
  server.say("mark", 1);
  await marked;
}

/** How a promise ended: with a value, or a failure of this package; anything else is thrown. */
async function outcome<T>(promise: Promise<T>): Promise<{ value: T } | { code: string }> {
  try {
    return { value: await promise };
  } catch (error) {
    if (error instanceof DialogueError) return { code: error.code };
    throw error;
  }
}

test("malformed_events_are_reported_and_the_rest_goes_on", async () => {
  const escaped = uncaught();
  const { server, client, errors } = await start();
  const hall = await client.join("hall");
  const other = await client.join("other");
  const heard: EventMessage[] = [];
  const infos: RoomInfo[] = [];
  hall.onAny((_, message) => heard.push(message));
  other.onAny((_, message) => heard.push(message));
  client.onRoomCreated((info) => infos.push(info));
  const refusal = { code: "INTERNAL", message: "no", roomId: "hall", event: "stored", retryAfterMs: 5, issues: [{ path: "a", code: "b", message: "c", params: {} }] };
  const packets: [event: string, packet: unknown][] = [
    ["dialogue:event", server.message("hall", "ephemeral", "wrong")],
    ["dialogue:event", { ...server.message("hall", "ephemeral", "wrong"), epoch: "1f", seq: 0, prev: 0, id: "x" }],
    ["dialogue:position", server.position("hall")],
    ["dialogue:left", { roomId: "elsewhere" }],
    ["dialogue:roomDeleted", { roomId: "elsewhere" }],
    ["dialogue:roomCreated", { id: "den", name: "Den", size: 1, maxSize: 2, description: "A den.", createdById: "ann" }],
    ["dialogue:error", refusal],
    ["dialogue:connected", welcome()],
    ["dialogue:unknown", { a: 1 }],
    ...NAMES.map((name): [string, unknown] => [name, { a: 1 }]),
  ];
  let sent = 0;
  for (const [event, packet] of packets) {
    for (const wrong of mutations(packet)) {
      if (wrong === undefined) server.say(event);
      else server.say(event, wrong);
      sent++;
    }
    // No more than Socket.IO's buffers take at once.
    await settled(server, client);
  }
  expect(sent).toBeGreaterThan(800);
  expect(client.state).toBe("connected");
  expect([client.id, client.userId].every((text) => typeof text === "string")).toBe(true);
  expect(errors.length).toBeGreaterThan(300);
  expect(errors.every((error) => error instanceof DialogueError && typeof error.code === "string" && typeof error.message === "string")).toBe(true);
  expect(errors.every(({ retryAfterMs = 0, issues = [] }) => Number.isFinite(retryAfterMs) && Array.isArray(issues))).toBe(true);
  expect(heard.every(isMessage)).toBe(true);
  expect(infos.every(isInfo)).toBe(true);

  for (const room of [hall, other]) {
    expect(room.state).toBe("joined");
    for (const event of ["ephemeral", "stored"]) {
      const later = next<EventMessage>((handler) => room.on(event, handler));
      server.say("dialogue:event", server.message(room.roomId, event, "later"));
      expect(await later).toMatchObject({ event, data: { text: "later" } });
    }
  }
  expect(escaped).toEqual([]);
}, 60_000);

test("malformed_answers_settle_their_requests_and_the_rest_goes_on", async () => {
  const escaped = uncaught();
  const { server, client } = await start();
  const other = await client.join("other");
  let room: Room = await client.join("hall");
  const rejoined = async () => {
    await outcome(room.leave());
    room = await client.join("hall");
  };
  const requests: [name: string, ask: () => Promise<unknown>, check?: (value: never) => boolean][] = [
    ["dialogue:join", () => client.joinId("hall").then((joined) => (room = joined)), ({ history, subscriptions }: Room) => history.every(isMessage) && Array.isArray(subscriptions)],
    ["dialogue:subscribe", () => room.subscribe("more")],
    ["dialogue:subscribeAll", () => room.subscribeAll()],
    ["dialogue:unsubscribe", () => room.unsubscribe("more")],
    ["dialogue:getHistory", () => room.getHistory("stored"), (events: EventMessage[]) => events.every(isMessage)],
    ["dialogue:getHistory", () => room.getHistory("stored", { before: 9 }), ({ events }: HistoryPage) => events.every(isMessage)],
    ["dialogue:trigger", () => room.trigger("stored", {})],
    ["dialogue:leave", () => room.leave()],
    ["dialogue:listRooms", () => client.listRooms(), (rooms: RoomInfo[]) => rooms.every(isInfo)],
    ["dialogue:createRoom", () => client.createRoom({ id: "den", name: "Den" }), isInfo],
    ["dialogue:deleteRoom", () => client.deleteRoom("den")],
    ["dialogue:authenticate", () => client.authenticate()],
  ];
  server.say("dialogue:event", server.message("hall", "stored", "first"));
  let sent = 0;
  for (const [name, ask, check = () => true] of requests) {
    for (const wrong of mutations(server.answer(name, { roomId: "hall" }))) {
      if (name === "dialogue:join") await outcome(room.leave());
      else if (room.state !== "joined") await rejoined();
      server.answers.set(name, [wrong]);
      const settledAs = await outcome(ask());
      if ("value" in settledAs) expect(check(settledAs.value as never), `${name} ${JSON.stringify(wrong)?.slice(0, 500)}`).toBe(true);
      server.answers.clear();
      sent++;
    }
    const later = next<EventMessage>((handler) => other.on("ephemeral", handler));
    server.say("dialogue:event", server.message("other", "ephemeral", name));
    expect((await later).data).toEqual({ text: name });
  }
  expect(sent).toBeGreaterThan(1_000);
  expect(client.state).toBe("connected");
  expect(escaped).toEqual([]);
}, 120_000);

test("malformed_rejoins_and_pages_leave_a_room_that_is_joined_or_denied", async () => {
  const escaped = uncaught();
  // The client pauses before it asks again.
  const wait = setTimeout;
  const soon = (callback: () => void, ms = 0) => wait(callback, ms >= 200 && ms <= 1_000 ? 1 : ms);
  vi.stubGlobal("setTimeout", soon);
  onTestFinished(() => void vi.unstubAllGlobals());
  const { server, client } = await start();
  let room = await client.join("hall");
  const join = { ...server.answer("dialogue:join", { roomId: "hall", since: {} }), events: [server.message("hall", "stored", "missed")] };
  const page = { ...server.answer("dialogue:getHistory", { after: 0 }), events: [server.message("hall", "stored", "fetched")] };
  const wrongs: [name: string, wrong: unknown][] = [
    ...[...mutations(join)].map((wrong): [string, unknown] => ["dialogue:join", wrong]),
    ...[...mutations(page)].map((wrong): [string, unknown] => ["dialogue:getHistory", wrong]),
  ];
  for (const [name, wrong] of wrongs) {
    if (room.state !== "joined") room = await client.join("hall");
    server.answers.set(name, [wrong]);
    if (name === "dialogue:join") server.say("dialogue:position", { ...server.position("hall"), epoch: "another" });
    else server.say("dialogue:position", { ...server.position("hall"), last: { stored: Number.MAX_SAFE_INTEGER } });
    await settled(server, client);
    // A wait for the answer: asked and answered in order, this comes after it.
    await outcome(room.getHistory("stored"));
    await outcome(client.listRooms());
    if (room.state === "rejoining") await next<string>((handler) => room.onState(handler));
    server.answers.clear();
    expect(["joined", "denied"]).toContain(room.state);
  }
  if (room.state !== "joined") room = await client.join("hall");
  const later = next<EventMessage>((handler) => room.on("ephemeral", handler));
  // Ephemeral events are not kept while the room is joined again after the last page.
  const saying = setInterval(() => server.say("dialogue:event", server.message("hall", "ephemeral", "later")), 20);
  expect((await later).data).toEqual({ text: "later" });
  clearInterval(saying);
  expect(escaped).toEqual([]);
}, 120_000);

test("malformed_welcome_is_a_refusal_and_the_next_one_connects", async () => {
  const escaped = uncaught();
  const { server, client } = await start();
  client.disconnect();
  for (const wrong of mutations(welcome())) {
    server.welcomes.push(wrong);
    const connected = await outcome(client.connect());
    if ("code" in connected) expect(connected.code, JSON.stringify(wrong)?.slice(0, 200)).toBe("INTERNAL");
    expect([client.id, client.userId].every((text) => typeof text === "string")).toBe(true);
    client.disconnect();
  }
  server.welcomes.push({ clientId: 7 }, null, {});
  client.open();
  await client.join("hall");
  expect(escaped).toEqual([]);
}, 60_000);

test("events_and_rooms_called_what_every_object_has_arrive", async () => {
  const escaped = uncaught();
  const { server, client, errors } = await start();
  for (const name of NAMES) {
    const room = await client.joinId(name, { subscribe: [name] });
    expect(client.getRoom(name)).toBe(room);
    const [heard, direct] = [
      next<EventMessage>((handler) => room.on(name, handler)),
      next<unknown>((handler) => client.on(name, handler)),
    ];
    server.say("dialogue:event", server.message(name, name, "hello"));
    server.say(name, { to: name });
    expect(await heard).toMatchObject({ event: name, roomId: name });
    expect(await direct).toEqual({ to: name });
    expect(await room.trigger(name, {})).toEqual({ epoch: "1f", seq: 0 });
    await room.subscribe(name);
    // The place of a name that the server does not tell, and of one that it does.
    server.say("dialogue:position", { ...server.position(name), last: {} });
    server.say("dialogue:position", { ...server.position(name), last: JSON.parse(`{ ${JSON.stringify(name)}: 0 }`) });
    const gone = next<string>((handler) => client.onRoomDeleted(handler));
    server.say("dialogue:roomDeleted", { roomId: name });
    expect(await gone).toBe(name);
    expect(client.getRoom(name)).toBeUndefined();
  }
  expect(errors).toEqual([]);
  expect(escaped).toEqual([]);
});
