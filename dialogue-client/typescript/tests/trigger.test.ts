/** What `dialogue-client/scenarios.md` says of triggers, on real servers, through a proxy. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type DialogueClientOptions, type Room } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { next } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

let server: ExampleServer;
let proxy: Proxy;
let clients: DialogueClient[];

beforeEach(async () => {
  server = await ExampleServer.start("chat");
  proxy = await Proxy.start(server.url);
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  proxy.stop();
  await server.kill();
});

async function connect(options: DialogueClientOptions): Promise<DialogueClient> {
  const client = createDialogueClient({
    transports: ["websocket"],
    reconnectionDelayMs: 20,
    reconnectionDelayMaxMs: 50,
    ...options,
  });
  client.onError(() => {});
  clients.push(client);
  await client.connect();
  return client;
}

/** A writer behind the proxy, and what a reader beside it hears. */
async function stage(options: DialogueClientOptions = {}) {
  const reader = await (await connect({ url: server.url, auth: { userId: "reader" } })).join("general", { subscribe: ["*"] });
  const heard: string[] = [];
  reader.on<{ text: string }>("message", ({ data }) => heard.push(data.text));
  reader.on("typing", () => heard.push("typing"));
  const writer = await connect({ url: proxy.url, auth: { userId: "writer" }, ...options });
  const room = await writer.join("general", { subscribe: [] });
  const hears = (count: number) => vi.waitFor(() => expect(heard.length).toBeGreaterThanOrEqual(count), { timeout: 5_000 });
  return { writer, room, heard, hears };
}

const message = (text: string) => ({ text });
const say = (room: Room, text: string) => room.trigger("message", message(text));
const lost = (client: DialogueClient) => next<string>((handler) => client.onDisconnect(handler));
const isAnswer = (text: string) => /^43\d+\[/.test(text);

/** Cuts the connection in place of the next answers. */
function cutAnswers(count: number): void {
  proxy.edit = (text) => {
    if (!isAnswer(text) || count-- <= 0) return [text];
    proxy.cut();
    return [];
  };
}

/** Refuses the next requests in the server's name, which has heard nothing of them. */
function refuseAnswers(...refusals: object[]): void {
  proxy.edit = (text) => {
    const refusal = isAnswer(text) && refusals.shift();
    return [refusal ? text.replace(/\[.*/, JSON.stringify([{ ok: false, message: "not now", ...refusal }])) : text];
  };
}

test("trigger-waits: triggers wait for the room to be joined again, and go in order before later ones", async () => {
  const { writer, room, heard, hears } = await stage();
  await say(room, "before");
  proxy.refuse();
  await lost(writer);
  const waiting = [say(room, "one"), say(room, "two"), room.trigger("typing", { isTyping: true }), say(room, "three")];
  proxy.admit();
  const receipts = await Promise.all(waiting);
  await say(room, "later");
  await hears(6);
  expect(receipts.map(({ seq }) => seq)).toEqual([2, 3, undefined, 4]);
  expect(heard).toEqual(["before", "one", "two", "typing", "three", "later"]);
});

test("trigger-waits: so does one that is triggered by whoever hears first that the connection is lost", async () => {
  const { writer, room, heard, hears } = await stage();
  const triggered = new Promise<unknown>((resolve) => {
    const off = writer.onState((state) => {
      off();
      resolve([state, room.state]);
      void room.trigger("typing", { isTyping: true });
    });
  });
  proxy.cut();
  expect(await triggered).toEqual(["connecting", "rejoining"]);
  await hears(1);
  expect(heard).toEqual(["typing"]);
});

test("trigger-limit: one more than may wait fails, and the others are sent", async () => {
  const { writer, room, heard, hears } = await stage({ outboxSize: 2 });
  proxy.refuse();
  await lost(writer);
  const waiting = [say(room, "one"), say(room, "two")];
  await expect(say(room, "three")).rejects.toMatchObject({ code: "LIMIT_EXCEEDED", roomId: "general", event: "message" });
  proxy.admit();
  await Promise.all(waiting);
  await say(room, "four");
  await hears(3);
  expect(heard).toEqual(["one", "two", "four"]);
});

test("trigger-deadline: one that cannot be sent in time fails, and is not sent later", async () => {
  const { writer, room, heard, hears } = await stage({ triggerTimeoutMs: 100 });
  proxy.refuse();
  await lost(writer);
  const error = { code: "TIMEOUT", message: "`message` was not sent within 100 ms", roomId: "general", event: "message" };
  await expect(say(room, "too late")).rejects.toMatchObject(error);
  const patient = room.trigger("message", message("patient"), undefined, { timeoutMs: 10_000 });
  proxy.admit();
  await patient;
  await hears(1);
  expect(heard).toEqual(["patient"]);
});

describe("trigger-repeated: a stored event whose answer is lost", () => {
  test("with the connection is sent again with its key, stored once, and answered", async () => {
    const { room, heard, hears } = await stage();
    cutAnswers(1);
    const receipt = await say(room, "once");
    await say(room, "later");
    await hears(2);
    expect(receipt).toMatchObject({ seq: 1, duplicate: true });
    expect(heard).toEqual(["once", "later"]);
  });

  test("though the connection stays is sent again after a while", async () => {
    const { room, heard, hears } = await stage({ timeoutMs: 200 });
    await say(room, "before");
    let dropped = 0;
    proxy.edit = (text) => (isAnswer(text) && dropped++ === 0 ? [] : [text]);
    await say(room, "once");
    await say(room, "later");
    await hears(3);
    expect(dropped).toBe(3);
    expect(heard).toEqual(["before", "once", "later"]);
  });

  test("keeps its place before those that were triggered after it", async () => {
    const { room, heard, hears } = await stage();
    await say(room, "before");
    const texts = Array.from({ length: 50 }, (_, index) => `text ${index}`);
    cutAnswers(1);
    const receipts = await Promise.all(texts.map((text) => say(room, text)));
    await hears(51);
    expect(heard).toEqual(["before", ...texts]);
    expect(receipts.map(({ seq }) => seq)).toEqual(texts.map((_, index) => index + 2));
  });

  test("is sent as it was, whatever has become of its payload", async () => {
    const { writer, room, heard, hears } = await stage();
    proxy.refuse();
    await lost(writer);
    const payload = message("as it was");
    const waiting = room.trigger("message", payload);
    payload.text = "changed";
    proxy.admit();
    await waiting;
    await hears(1);
    expect(heard).toEqual(["as it was"]);
  });
});

test("trigger-key: an event that the app triggers again with the same key is stored once", async () => {
  const { room, heard, hears } = await stage();
  const options = { key: "order 7" };
  const first = await room.trigger("message", message("once"), undefined, options);
  expect(first).not.toHaveProperty("duplicate");
  const again = await room.trigger("message", message("once"), undefined, options);
  expect(again).toEqual({ ...first, duplicate: true });
  await say(room, "later");
  await hears(2);
  expect(heard).toEqual(["once", "later"]);
});

test("trigger-ephemeral: an ephemeral event whose answer is lost fails, and is not sent again", async () => {
  const { room, heard, hears } = await stage();
  cutAnswers(1);
  await expect(room.trigger("typing", { isTyping: true })).rejects.toMatchObject({ code: "DISCONNECTED", event: "typing" });
  await say(room, "later");
  await hears(2);
  expect(heard).toEqual(["typing", "later"]);
});

test("trigger-other-user: a key of another user's is not sent again", async () => {
  const auth = vi.fn().mockReturnValueOnce({ userId: "ann" }).mockReturnValue({ userId: "bob" });
  const { room, heard, hears } = await stage({ auth });
  await say(room, "before");
  cutAnswers(1);
  await expect(say(room, "ann's")).rejects.toMatchObject({ code: "DISCONNECTED", event: "message" });
  await say(room, "bob's");
  await hears(3);
  expect(heard).toEqual(["before", "ann's", "bob's"]);
});

describe("trigger-refused-for-now: an event that is refused", () => {
  test("for a while is sent again until it is not", async () => {
    const { writer, room, hears, heard } = await stage();
    const reported = vi.fn();
    writer.onError(reported);
    // The server has stored the first one, and knows the key of those after it.
    refuseAnswers(
      { code: "STORE_UNAVAILABLE", retryAfterMs: 10 },
      { code: "RATE_LIMITED", retryAfterMs: 10 },
      { code: "DRAINING", retryAfterMs: 10 },
    );
    const { seq } = await say(room, "once");
    await hears(1);
    expect(seq).toBe(1);
    expect(heard).toEqual(["once"]);
    expect(reported).not.toHaveBeenCalled();
  });

  test("since there are too many is sent when there are not, and none is lost or doubled", async () => {
    const { room, heard, hears } = await stage();
    const texts = Array.from({ length: 300 }, (_, index) => `text ${index}`);
    await Promise.all(texts.map((text) => say(room, text)));
    await hears(300);
    expect([...heard].sort()).toEqual([...texts].sort());
  });

  test("until its time is over fails with the refusal", async () => {
    const { room } = await stage({ triggerTimeoutMs: 300 });
    refuseAnswers({ code: "STORE_UNAVAILABLE", retryAfterMs: 10_000 });
    await expect(say(room, "in vain")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", event: "message" });
  });

  test("for good is not", async () => {
    const { room } = await stage();
    await expect(say(room, "")).rejects.toMatchObject({ code: "VALIDATION_FAILED" });
  });
});

describe("trigger-limited: an ephemeral event that is limited", () => {
  test("fails, and nothing waits behind it", async () => {
    const { room, heard, hears } = await stage();
    refuseAnswers({ code: "RATE_LIMITED", retryAfterMs: 10_000 });
    const limited = room.trigger("typing", { isTyping: true });
    const behind = say(room, "behind");
    await expect(limited).rejects.toMatchObject({ code: "RATE_LIMITED", event: "typing", retryAfterMs: 10_000 });
    await behind;
    await hears(2);
    expect(heard).toEqual(["typing", "behind"]);
  });

  test("is not sent after newer ones", async () => {
    const { room, heard } = await stage();
    const triggered = await Promise.allSettled(
      Array.from({ length: 300 }, () => room.trigger("typing", { isTyping: true })),
    );
    const sent = triggered.filter(({ status }) => status === "fulfilled");
    expect(sent.length).toBeLessThan(300);
    await say(room, "last");
    await vi.waitFor(() => expect(heard).toContain("last"), { timeout: 5_000 });
    // What was limited would be sent again within a second.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    // A reader that is slow for a moment misses some of them.
    expect(heard.at(-1)).toBe("last");
    expect(heard.length).toBeLessThanOrEqual(sent.length + 1);
  });
});

describe("a message that is longer than the server takes", () => {
  const long = "x".repeat(1_100_000);

  test("fails before it is sent, and what is behind it is delivered on the same connection", async () => {
    const { writer, room, heard, hears } = await stage();
    const gone = vi.fn();
    writer.onDisconnect(gone);
    const [before, tooLong, behind] = [say(room, "before"), say(room, long), say(room, "behind")];
    await expect(tooLong).rejects.toMatchObject({
      code: "TOO_LARGE",
      size: expect.closeTo(1_100_000, -3),
      limit: 1_000_000,
      roomId: "general",
      event: "message",
    });
    await Promise.all([before, behind]);
    await hears(2);
    expect(heard).toEqual(["before", "behind"]);
    expect(gone).not.toHaveBeenCalled();
  });

  test("by one byte fails, and one of the limit itself is one that the server answers", async () => {
    const { writer, room } = await stage();
    const gone = vi.fn();
    writer.onDisconnect(gone);
    const options = { key: "k" };
    const triggered = (length: number) =>
      room.trigger("message", message("x".repeat(length)), undefined, options).catch((error: unknown) => error);
    const { size, limit } = (await triggered(1_000_000)) as { size: number; limit: number };
    const most = 1_000_000 - (size - limit);
    expect(await triggered(most)).toMatchObject({ code: "VALIDATION_FAILED" });
    expect(await triggered(most + 1)).toMatchObject({ code: "TOO_LARGE", size: limit + 1 });
    // Characters that take several bytes count as such.
    const wide = "\u20ac".repeat(400_000);
    await expect(say(room, wide)).rejects.toMatchObject({ code: "TOO_LARGE" });
    expect(gone).not.toHaveBeenCalled();
  });

  test("is sent twice where the server does not say how much that is, and what is behind it is delivered", async () => {
    proxy.edit = (text) => [text.replace(/,"maxMessageBytes":\d+/, "")];
    const { writer, room, heard, hears } = await stage();
    let links = 0;
    proxy.onLink = () => links++;
    // An event that cannot be sent again is not lost along with it.
    let typing: Promise<unknown> | undefined;
    writer.onDisconnect(() => (typing ??= room.trigger("typing", { isTyping: true })));
    const [before, tooLong, ...behind] = [say(room, "before"), say(room, long), say(room, "one"), say(room, "two")];
    // One that is long, too, is not taken for the cause, and gets its answer.
    const innocent = say(room, "y".repeat(100_000)).catch((error: unknown) => error);
    await expect(tooLong).rejects.toMatchObject({ code: "DISCONNECTED", event: "message" });
    await Promise.all([before, ...behind]);
    await typing;
    await hears(4);
    expect(heard.filter((what) => what !== "typing")).toEqual(["before", "one", "two"]);
    expect(await innocent).toMatchObject({ code: "VALIDATION_FAILED" });
    expect(links).toBe(2);
  });
});

test("trigger-long: a long message within the server's limit is sent again after each lost connection", async () => {
  const { writer, room } = await stage();
  let cuts = 0;
  proxy.edit = (text) => {
    if (!isAnswer(text) || !text.includes("VALIDATION_FAILED") || ++cuts > 3) return [text];
    proxy.cut();
    return [];
  };
  // It is longer than the event may be, and not than a message.
  await expect(say(room, "x".repeat(100_000))).rejects.toMatchObject({ code: "VALIDATION_FAILED" });
  expect(cuts).toBe(4);
  expect(writer.state).toBe("connected");
});

describe("a trigger without a connection", () => {
  test("fails at once where none is on its way", async () => {
    const { writer, room } = await stage({ reconnection: false });
    proxy.cut();
    await lost(writer);
    await expect(say(room, "in vain")).rejects.toMatchObject({ code: "DISCONNECTED" });
  });

  test("fails when the client gives up", async () => {
    const { writer, room } = await stage({ reconnectionAttempts: 2 });
    proxy.refuse();
    await lost(writer);
    await expect(say(room, "in vain")).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(writer.state).toBe("disconnected");
  });

  test("may be given up, which is no failure", async () => {
    const { writer, room, heard, hears } = await stage();
    const reported = vi.fn();
    writer.onError(reported);
    proxy.refuse();
    await lost(writer);
    const aborted = new AbortController();
    const waiting = room.trigger("message", message("not sent"), undefined, { signal: aborted.signal });
    aborted.abort("enough");
    await expect(waiting).rejects.toBe("enough");
    proxy.admit();
    await say(room, "sent");
    await hears(1);
    expect(heard).toEqual(["sent"]);
    expect(reported).not.toHaveBeenCalled();
  });

  test("is not sent once it is given up, however soon the room is joined after that", async () => {
    const { writer, room, heard, hears } = await stage();
    const aborted = new AbortController();
    proxy.refuse();
    await lost(writer);
    const waiting = room.trigger("message", message("not sent"), undefined, { signal: aborted.signal });
    room.onState((state) => state === "joined" && aborted.abort("enough"));
    proxy.admit();
    await expect(waiting).rejects.toBe("enough");
    const never = room.trigger("message", message("never"), undefined, { signal: AbortSignal.abort("never") });
    await say(room, "sent");
    await expect(never).rejects.toBe("never");
    await hears(1);
    expect(heard).toEqual(["sent"]);
  });

  test("fails where the room is left meanwhile", async () => {
    const { writer, room } = await stage();
    proxy.refuse();
    await lost(writer);
    const waiting = say(room, "in vain");
    void room.leave();
    await expect(waiting).rejects.toMatchObject({ code: "NOT_IN_ROOM" });
  });
});
