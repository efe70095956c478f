/** What `dialogue-client/scenarios.md` says of slow consumers, and how streams of events are used. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type Room } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { next } from "./support/next.js";

let server: ExampleServer;
let clients: DialogueClient[];

beforeEach(async () => {
  server = await ExampleServer.start("chat");
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await server.kill();
});

async function connect(userId: string): Promise<DialogueClient> {
  const client = createDialogueClient({
    url: server.url,
    auth: { userId },
    transports: ["websocket"],
    reconnectionDelayMs: 20,
    reconnectionDelayMaxMs: 50,
  });
  client.onError(() => {});
  clients.push(client);
  await client.connect();
  return client;
}

const say = (room: Room, text: string) => room.trigger("message", { text });

/** What is left of a stream: texts, and how it ends. */
async function rest(stream: AsyncIterable<{ data: { text: string } }>): Promise<unknown[]> {
  const seen: unknown[] = [];
  try {
    for await (const { data } of stream) seen.push(data.text);
    seen.push("end");
  } catch (error) {
    seen.push(error);
  }
  return seen;
}

test("a stream has every event from the call on, in order", async () => {
  const room = await (await connect("ann")).join("general");
  await say(room, "before");
  const stream = room.events<{ text: string }>("message");
  await say(room, "one");
  await say(room, "two");
  const texts: string[] = [];
  for await (const { data } of stream) {
    texts.push(data.text);
    if (texts.length === 2) void say(room, "three");
    if (texts.length === 3) break;
  }
  expect(texts).toEqual(["one", "two", "three"]);
  await say(room, "after the break");
  expect(await stream.next()).toEqual({ done: true, value: undefined });
});

test("a signal ends a stream with its reason", async () => {
  const room = await (await connect("ann")).join("general");
  const aborted = new AbortController();
  const stream = room.events<{ text: string }>("message", { signal: aborted.signal });
  const waiting = stream.next();
  aborted.abort("enough");
  await expect(waiting).rejects.toBe("enough");
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(await rest(room.events<{ text: string }>("message", { signal: AbortSignal.abort("never") }))).toEqual(["never"]);
});

test("two readers of one stream get each event once", async () => {
  const room = await (await connect("ann")).join("general");
  const stream = room.events<{ text: string }>("message");
  const both = Promise.all([stream.next(), stream.next()]);
  await say(room, "one");
  await say(room, "two");
  expect((await both).map(({ value }) => (value as { data: { text: string } }).data.text)).toEqual(["one", "two"]);
});

test("stream-overflow: a consumer that does not keep up gets what was held, then an error", async () => {
  const room = await (await connect("ann")).join("general");
  const stream = room.events<{ text: string }>("message");
  const heard: string[] = [];
  room.on<{ text: string }>("message", ({ data }) => heard.push(data.text));
  const writers = await Promise.all(Array.from({ length: 7 }, async (_, number) => (await connect(`${number}`)).join("general")));
  await Promise.all(
    writers.map(async (writer, number) => {
      for (let count = 0; count < 143; count++) await say(writer, `${number} ${count}`);
    }),
  );
  await vi.waitFor(() => expect(heard).toHaveLength(1_001));
  const overflow = expect.objectContaining({ code: "LIMIT_EXCEEDED", roomId: "general", event: "message" });
  expect(await rest(stream)).toEqual([...heard.slice(0, 1_000), overflow]);
});

test("stream-reset: a reset ends the stream of a stored event with an error, and not that of an ephemeral one", async () => {
  const ann = await connect("ann");
  const room = await ann.join("general", { subscribe: ["message", "typing"] });
  const messages = room.events<{ text: string }>("message");
  const typing = room.events("typing");
  await say(room, "before");
  const connected = next<void>((handler) => ann.onConnect(() => handler()));
  await server.kill();
  await server.restart();
  await connected;
  expect(await rest(messages)).toEqual(["before", expect.objectContaining({ code: "MISSED", event: "message" })]);
  await room.trigger("typing", { isTyping: true });
  expect((await typing.next()).value).toMatchObject({ data: { isTyping: true } });
});

test("stream-left: a room that is left ends its streams", async () => {
  const ann = await connect("ann");
  const room = await ann.join("general");
  const stream = room.events<{ text: string }>("message");
  await say(room, "one");
  await vi.waitFor(async () => expect(await room.getHistory("message")).toHaveLength(1));
  await room.leave();
  expect(await rest(stream)).toEqual(["one", "end"]);
  expect(await rest(room.events<{ text: string }>("message"))).toEqual(["end"]);
});
