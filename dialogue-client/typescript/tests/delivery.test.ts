/** What `dialogue-client/scenarios.md` says of coming back and of gaps, on real servers, through a proxy. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DialogueClient, EventMessage, RoomState } from "../src/index.js";
import { createDialogueClient, type Room } from "../src/index.js";
import { type Example, ExampleServer } from "./support/example-server.js";
import { next } from "./support/next.js";
import { type Edit, Proxy } from "./support/proxy.js";

let server: ExampleServer;
let proxy: Proxy;
let clients: DialogueClient[];

async function start(example: Example, environment: NodeJS.ProcessEnv = {}): Promise<void> {
  server = await ExampleServer.start(example, environment);
  proxy = await Proxy.start(server.url);
}

async function connect(userId: string, url: string): Promise<DialogueClient> {
  const client = createDialogueClient({
    url,
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

/** A reader behind the proxy, and what its handlers are given. */
async function reader(subscribe = ["message"]) {
  const client = await connect("reader", proxy.url);
  const room = await client.join("general", { subscribe });
  const heard: string[] = [];
  const states: RoomState[] = [];
  room.onAny((event, { data }) => heard.push(event === "message" ? (data as { text: string }).text : event));
  room.onReset(() => heard.push("reset"));
  room.onState((state) => states.push(state));
  const hears = (text: string) => vi.waitFor(() => expect(heard).toContain(text), { timeout: 10_000, interval: 10 });
  return { client, room, heard, hears, states };
}

/** A writer that no proxy disturbs. */
async function writer() {
  const client = await connect("writer", server.url);
  const room = await client.join("general", { subscribe: [] });
  return { client, room, say: async (...texts: string[]) => void (await Promise.all(texts.map((text) => say(room, text)))) };
}

function say(room: Room, text: string) {
  return room.trigger("message", { text });
}

const numbered = (count: number, word = "text") => Array.from({ length: count }, (_, index) => `${word} ${index}`);
/** More than the server tells in one answer, and than the chat keeps. */
const tooMany = numbered(150).map((text) => text.padEnd(2_000));
const reconnected = (client: DialogueClient) => next<void>((handler) => client.onConnect(() => handler()));
const lost = (client: DialogueClient) => next<string>((handler) => client.onDisconnect(handler));

const isEvent = (text: string, event = "message") => text.startsWith(`42["dialogue:event",{"event":"${event}"`);
const eventIn = (text: string) => (JSON.parse(text.slice(2)) as [string, EventMessage])[1];
const isAnswer = (text: string) => /^43\d+\[/.test(text);

/** Drops the first texts that are such. */
function dropping(count: number, which: (text: string) => boolean): Edit {
  return (text) => (which(text) && count-- > 0 ? [] : [text]);
}

beforeEach(() => {
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  proxy.stop();
  await server.kill();
});

describe("coming back", () => {
  test("resume-missed: what was missed comes in order and once, before anything later", async () => {
    await start("chat");
    const { client, room, heard, hears, states } = await reader();
    const { say } = await writer();
    await say("before");
    await hears("before");
    const gone = lost(client);
    proxy.refuse();
    await gone;
    expect(room.state).toBe("rejoining");
    await say(...numbered(20, "missed"));
    const back = reconnected(client);
    proxy.admit();
    await back;
    await say("later");
    await hears("later");
    expect(heard).toEqual(["before", ...numbered(20, "missed"), "later"]);
    expect(states).toEqual(["rejoining", "joined"]);
  });

  test("resume-again: a cut before the answer to the join loses and doubles nothing", async () => {
    await start("chat");
    const { client, heard, hears } = await reader();
    const { say } = await writer();
    await say("before");
    await hears("before");
    let cuts = 0;
    proxy.edit = (text) => {
      if (!isAnswer(text) || ++cuts > 2) return [text];
      proxy.cut();
      return [];
    };
    const gone = lost(client);
    proxy.cut();
    await gone;
    await say("missed");
    await hears("missed");
    await say("later");
    await hears("later");
    expect(cuts).toBeGreaterThan(2);
    expect(heard).toEqual(["before", "missed", "later"]);
  });

  test("slow-link: a rejoin and pages that take longer than a request are given more time", async () => {
    await start("chat");
    const client = createDialogueClient({ url: proxy.url, auth: { userId: "slow" }, timeoutMs: 500, reconnectionDelayMs: 20 });
    client.onError(() => {});
    clients.push(client);
    await client.connect();
    const room = await client.join("general", { subscribe: ["message"] });
    const heard: string[] = [];
    room.on("message", ({ data }) => heard.push((data as { text: string }).text.trim()));
    room.onReset(() => heard.push("reset"));
    const { say } = await writer();
    const gone = lost(client);
    proxy.refuse();
    await gone;
    await say(...numbered(60).map((text) => text.padEnd(2_000)));
    // It is two seconds' worth.
    proxy.bytesPerSecond = 70_000;
    proxy.admit();
    await vi.waitFor(() => expect(heard).toHaveLength(60), { timeout: 15_000, interval: 50 });
    expect(heard).toEqual(numbered(60));
  });

  test("resume-history: a recovery adds to the history, and is no reset", async () => {
    await start("chat");
    const { say } = await writer();
    await say("old");
    const { client, room, heard, hears } = await reader();
    const brought = vi.fn();
    client.onHistory(brought);
    proxy.refuse();
    await say("missed");
    proxy.admit();
    await hears("missed");
    expect(room.history).toMatchObject([{ data: { text: "missed" } }, { data: { text: "old" } }]);
    expect(brought).not.toHaveBeenCalled();
    expect(heard).toEqual(["missed"]);
  });

  test("resume-subscriptions: only what was subscribed to is recovered", async () => {
    await start("chat");
    const { client, room, heard } = await reader(["typing"]);
    const { say } = await writer();
    const back = reconnected(client);
    proxy.refuse();
    await say("not for the reader");
    proxy.admit();
    await back;
    await room.trigger("typing", { isTyping: true });
    await vi.waitFor(() => expect(heard).toContain("typing"));
    expect(heard).toEqual(["typing"]);
  });

  test("resume-restart: a server with the same log says what was missed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "dialogue-"));
    await start("persistence", { DATABASE_URL: `sqlite:${folder}/chat.db` });
    const { heard, hears } = await reader();
    const { say } = await writer();
    await say("before");
    await hears("before");
    proxy.refuse();
    await say("missed");
    await server.kill();
    await server.restart();
    proxy.admit();
    await hears("missed");
    await say("later");
    await hears("later");
    expect(heard).toEqual(["before", "missed", "later"]);
    await server.kill();
    await rm(folder, { recursive: true });
  });

  test("reset-epoch: a server with another log is told of before anything later", async () => {
    await start("chat");
    const { client, room, heard, hears } = await reader();
    const { say } = await writer();
    await say("before");
    await hears("before");
    proxy.refuse();
    await server.kill();
    await server.restart();
    await say("new");
    const brought = next<string>((handler) => client.onHistory(handler));
    proxy.admit();
    await hears("reset");
    expect(await brought).toBe("general");
    expect(room.history).toMatchObject([{ data: { text: "new" } }]);
    await say("later");
    await hears("later");
    expect(heard).toEqual(["before", "reset", "later"]);
  });

  test("reset-too-much: more than is kept is not told in part", async () => {
    await start("chat");
    const { room, heard, hears } = await reader();
    const { say } = await writer();
    await say("before");
    await hears("before");
    proxy.refuse();
    await say(...tooMany);
    proxy.admit();
    await hears("reset");
    await say("later");
    await hears("later");
    expect(heard).toEqual(["before", "reset", "later"]);
    expect(room.history.slice(0, 2)).toMatchObject([{ data: { text: "later" } }, { data: { text: tooMany.at(-1) } }]);
  });

  test("rejoin-refused-for-now: a join that is refused for a while is asked again", async () => {
    await start("chat");
    const { client, room, heard, hears, states } = await reader();
    const { say } = await writer();
    const refusals: string[] = [];
    client.onError(({ code }) => refusals.push(code));
    let answers = 0;
    proxy.edit = (text) => {
      if (!isAnswer(text) || ++answers > 3) return [text];
      const code = ["RATE_LIMITED", "STORE_UNAVAILABLE", "DRAINING"][answers - 1];
      return [text.replace(/\[.*/, JSON.stringify([{ ok: false, code, message: "not now", retryAfterMs: 20 }]))];
    };
    proxy.refuse();
    await say("missed");
    proxy.admit();
    await hears("missed");
    expect(refusals).toEqual(["RATE_LIMITED", "STORE_UNAVAILABLE", "DRAINING"]);
    expect(states).toEqual(["rejoining", "joined"]);
    expect(client.getRoom("general")).toBe(room);
    expect(heard).toEqual(["missed"]);
  });

  test("rejoin-full: a room that is full is joined once there is a place", async () => {
    await start("rooms");
    const [ann, bob] = [await connect("ann", proxy.url), await connect("bob", server.url)];
    await ann.createRoom({ id: "den", name: "The Den", maxSize: 1 });
    const room = await ann.join("den");
    const full = next((handler) => ann.onError(handler));
    proxy.refuse();
    const bobs = await vi.waitFor(() => bob.join("den"));
    proxy.admit();
    expect(await full).toMatchObject({ code: "ROOM_FULL", roomId: "den" });
    expect(room.state).toBe("rejoining");
    const joined = next<RoomState>((handler) => room.onState(handler));
    await bobs.leave();
    expect(await joined).toBe("joined");
    await room.trigger("message", { text: "back" });
  });

  test("rejoin-denied: a room that is refused for good is out of use", async () => {
    await start("chat");
    const { client, room, states } = await reader();
    const code = "JOIN_DENIED";
    proxy.edit = (text) =>
      isAnswer(text) ? [text.replace(/\[.*/, JSON.stringify([{ ok: false, code, message: "not you" }]))] : [text];
    const refused = next((handler) => client.onError(handler));
    const gone = lost(client);
    proxy.cut();
    await gone;
    const waiting = say(room, "waits");
    expect(await refused).toMatchObject({ code, roomId: "general" });
    await expect(waiting).rejects.toMatchObject({ code });
    expect(states).toEqual(["rejoining", "denied"]);
    expect(client.getRoom("general")).toBeUndefined();
    await room.leave();
    expect(room.state).toBe("denied");
  });

  test("dismissed: a room that the server makes the client leave is left", async () => {
    await start("chat");
    const { client, room, states } = await reader();
    proxy.say('42["dialogue:left",{"roomId":"general"}]');
    await vi.waitFor(() => expect(room.state).toBe("left"));
    expect(states).toEqual(["left"]);
    expect(client.getRoom("general")).toBeUndefined();
  });

  test("dismissed-client: a client that the server disconnects has left its rooms, and all say why", async () => {
    await start("chat");
    const { client, room } = await reader();
    const [reported, told, ended] = [vi.fn(), vi.fn(), vi.fn()];
    client.onError(reported);
    client.onState((state, error) => told(state, error?.code));
    room.onState((state, error) => ended(state, error?.code));
    const gone = lost(client);
    const error = { code: "DISCONNECTED", message: "the server ended the connection" };
    proxy.disconnect();
    expect(await gone).toBe("io server disconnect");
    expect(client).toMatchObject({ state: "disconnected", error });
    expect(room.state).toBe("left");
    expect(reported).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(error));
    expect(told.mock.calls).toEqual([["disconnected", "DISCONNECTED"]]);
    expect(ended.mock.calls).toEqual([["left", "DISCONNECTED"]]);
    expect(client.getRoom("general")).toBeUndefined();
    await client.connect();
    expect(client.error).toBeUndefined();
    expect((await client.join("general")).state).toBe("joined");
  });

  test("draining: a server that stops is left alone for as long as it asks", async () => {
    await start("chat");
    const { client } = await reader();
    const gone = lost(client);
    proxy.say('42["dialogue:draining",{"reconnectAfterMs":400}]');
    proxy.disconnect();
    expect(await gone).toBe("io server disconnect");
    const since = performance.now();
    expect(client.state).toBe("connecting");
    const waited = new Promise<number>((resolve) => {
      proxy.onLink = () => resolve(performance.now() - since);
    });
    await reconnected(client);
    expect(await waited).toBeGreaterThan(390);
  });

  test("draining: a server that is stopped and started again is come back to", async () => {
    await start("chat");
    const { client, room, hears } = await reader();
    const gone = lost(client);
    const back = reconnected(client);
    await server.stop();
    await gone;
    expect(room.state).toBe("rejoining");
    await server.restart();
    await back;
    const { say } = await writer();
    await say("later");
    await hears("later");
  });
});

describe("gaps", () => {
  /** The history pages that the reader asks for are the only answers that it gets after its join. */
  const counting = (edit: Edit) => {
    const counted = { pages: 0 };
    proxy.edit = (text) => {
      if (isAnswer(text)) counted.pages++;
      return edit(text);
    };
    return counted;
  };

  beforeEach(() => start("chat"));

  /** Starts a server that keeps everything, in place of the chat; returns what ends it. */
  const startWithDatabase = async () => {
    await server.kill();
    proxy.stop();
    const folder = await mkdtemp(join(tmpdir(), "dialogue-"));
    await start("persistence", { DATABASE_URL: `sqlite:${folder}/chat.db` });
    return async () => {
      await server.kill();
      await rm(folder, { recursive: true });
    };
  };

  test("seen: an event that comes twice is handed over once", async () => {
    const { heard, hears } = await reader();
    const { say } = await writer();
    const counted = counting((text) => (isEvent(text) ? [text, text] : [text]));
    await say("one", "two", "three");
    await hears("three");
    expect(heard).toEqual(["one", "two", "three"]);
    expect(counted.pages).toBe(0);
  });

  test("gap-event: what is missing is fetched before the event that shows it", async () => {
    const { heard, hears } = await reader();
    const { say } = await writer();
    const counted = counting(dropping(2, isEvent));
    await say("one", "two", "three");
    await hears("three");
    expect(heard).toEqual(["one", "two", "three"]);
    expect(counted.pages).toBe(1);
  });

  test("gap-position: a position ahead fetches what is missing", async () => {
    const { heard, hears } = await reader();
    const { say } = await writer();
    const dropped: EventMessage[] = [];
    proxy.edit = (text) => {
      if (!isEvent(text)) return [text];
      dropped.push(eventIn(text));
      return [];
    };
    await say("one", "two");
    await vi.waitFor(() => expect(dropped).toHaveLength(2));
    const { epoch, seq } = dropped[1]!;
    const last = { message: seq };
    proxy.say(`42["dialogue:position",${JSON.stringify({ roomId: "general", epoch, seq, last })}]`);
    await hears("two");
    expect(heard).toEqual(["one", "two"]);
  });

  test("gap-position-seen: a position that is not ahead asks for nothing", async () => {
    const { room, heard, hears } = await reader();
    const { say } = await writer();
    const counted = counting((text) => [text]);
    const message = next<EventMessage>((handler) => room.on("message", handler));
    await say("one");
    const { epoch, seq } = await message;
    const last = { message: seq };
    proxy.say(`42["dialogue:position",${JSON.stringify({ roomId: "general", epoch, seq, last })}]`);
    await say("two");
    await hears("two");
    expect(heard).toEqual(["one", "two"]);
    expect(counted.pages).toBe(0);
  });

  test("gap-pages: more than a page is fetched page by page", async () => {
    const discard = await startWithDatabase();
    const { heard, hears } = await reader();
    const { say } = await writer();
    const counted = counting(dropping(149, isEvent));
    const texts = numbered(150);
    await say(...texts);
    await hears(texts.at(-1)!);
    expect(heard).toEqual(texts);
    expect(counted.pages).toBe(2);
    await discard();
  });

  test("gap-held: what comes during a fetch is handed over after it", async () => {
    const { heard, hears } = await reader(["message", "typing"]);
    const { room, say } = await writer();
    const pages: string[] = [];
    const drop = dropping(1, isEvent);
    const late = new Promise<void>((resolve) => {
      proxy.edit = (text) => {
        if (isEvent(text, "typing")) resolve();
        if (!isAnswer(text)) return drop(text);
        pages.push(text);
        return [];
      };
    });
    await say("one", "two");
    await vi.waitFor(() => expect(pages).toHaveLength(1));
    await say("three");
    await room.trigger("typing", { isTyping: true });
    await late;
    proxy.say(pages[0]!);
    await hears("typing");
    expect(heard).toEqual(["one", "two", "three", "typing"]);
    expect(pages).toHaveLength(1);
  });

  test("gap-held-too-many: of what comes during a fetch, what is too much to hold is fetched as well", async () => {
    const discard = await startWithDatabase();
    const { room, hears } = await reader();
    const seqs: unknown[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    const writers = await Promise.all(Array.from({ length: 8 }, writer));
    let [page, came] = ["", 0];
    const drop = dropping(1, isEvent);
    proxy.edit = (text) => {
      if (isEvent(text)) came++;
      if (!isAnswer(text) || page) return drop(text);
      page = text;
      return [];
    };
    await writers[0]!.say("one", "two");
    await vi.waitFor(() => expect(page).not.toBe(""));
    await Promise.all(writers.map(({ say }) => say(...numbered(150))));
    await vi.waitFor(() => expect(came).toBe(1_202));
    await writers[0]!.say("last");
    proxy.say(page);
    await hears("last");
    expect(seqs).toEqual(Array.from({ length: 1_203 }, (_, index) => index + 1));
    await discard();
  });

  test("gap-cut: a cut during a fetch leaves the rest to the next join", async () => {
    const { heard, hears } = await reader();
    const { say } = await writer();
    const drop = dropping(1, isEvent);
    let cut = false;
    proxy.edit = (text) => {
      if (!isAnswer(text) || cut) return drop(text);
      cut = true;
      proxy.cut();
      return [];
    };
    await say("one", "two");
    await hears("two");
    expect(cut).toBe(true);
    expect(heard).toEqual(["one", "two"]);
  });

  test("gap-not-kept: a range that is no longer kept is a reset", async () => {
    const { room, heard, hears } = await reader();
    const { say } = await writer();
    proxy.edit = dropping(tooMany.length - 1, isEvent);
    await say(...tooMany);
    await hears("reset");
    await say("later");
    await hears("later");
    expect(heard).toEqual(["reset", "later"]);
    expect(room.history.slice(0, 2)).toMatchObject([{ data: { text: "later" } }, { data: { text: tooMany.at(-1) } }]);
  });

  test("ephemeral: events without a place are handed over as they come", async () => {
    const { heard, hears } = await reader(["message", "typing"]);
    const { room, say } = await writer();
    await say("one");
    await room.trigger("typing", { isTyping: true });
    await room.trigger("typing", { isTyping: true });
    await say("two");
    await hears("two");
    expect(heard).toEqual(["one", "typing", "typing", "two"]);
  });
});
