import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, DialogueError } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { HostileServer } from "./support/hostile-server.js";
import { next } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

let server: ExampleServer;
let client: DialogueClient | undefined;

beforeAll(async () => {
  server = await ExampleServer.start("chat");
});
afterEach(() => client?.disconnect());
afterAll(() => server.kill());

describe("a client that is not told to connect", () => {
  test("connects by itself, and joins once it has", async () => {
    const connected = vi.fn();
    client = createDialogueClient({ url: server.url, auth: { userId: "ann" } });
    client.onConnect(connected);
    expect(client.state).toBe("connecting");
    expect(await client.join("general")).toMatchObject({ roomId: "general", state: "joined" });
    expect(client).toMatchObject({ state: "connected", userId: "ann" });
    expect(connected).toHaveBeenCalledTimes(1);
  });

  test("keeps trying until it can", async () => {
    const proxy = await Proxy.start(server.url);
    proxy.refuse();
    const tried = new Promise<void>((resolve) => (proxy.onLink = resolve));
    const reported = vi.fn();
    const delays = { reconnectionDelayMs: 20, reconnectionDelayMaxMs: 50 };
    // Polling, on which it might settle, has no connection to cut: the server would keep its member for a while.
    client = createDialogueClient({ url: proxy.url, transports: ["websocket"], ...delays });
    client.onError(reported);
    await tried;
    expect(client.state).toBe("connecting");
    const joining = client.join("general");
    proxy.admit();
    expect(await joining).toMatchObject({ roomId: "general" });
    expect(reported).not.toHaveBeenCalled();
    proxy.stop();
  });

  test.each([{ reconnection: false }, { reconnectionAttempts: 2, reconnectionDelayMs: 10 }])(
    "tries as often as it was told: %j",
    async (options) => {
      client = createDialogueClient({ url: "http://127.0.0.1:1", ...options });
      expect(await next((handler) => client!.onError(handler))).toMatchObject({ code: "DISCONNECTED" });
      expect(client.state).toBe("disconnected");
    },
  );

  test("does not ask again for credentials that it cannot have, if it is told to try once", async () => {
    const auth = vi.fn(() => Promise.reject(new Error("token service is down")));
    client = createDialogueClient({ url: server.url, auth, reconnection: false });
    expect(await next((handler) => client!.onError(handler))).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(client.state).toBe("disconnected");
    expect(auth).toHaveBeenCalledTimes(1);
  });

  test("and then is, has one try", async () => {
    client = createDialogueClient({ url: "http://127.0.0.1:1" });
    client.onError(() => {});
    await expect(client.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(client.state).toBe("disconnected");
  });
});

test("times that no timer can count to are as long as timers can", async () => {
  const options = { timeoutMs: Infinity, reconnectionDelayMs: Infinity, reconnectionDelayMaxMs: Infinity };
  client = createDialogueClient({ url: server.url, ...options });
  await client.connect();
  expect(await client.listRooms()).toHaveLength(1);
});

test("a client that is told not to does nothing until it is told to connect", async () => {
  client = createDialogueClient({ url: server.url, autoConnect: false });
  await Promise.resolve();
  expect(client).toMatchObject({ state: "disconnected", connected: false, userId: "", id: "" });
});

test("connecting gives the client its ids, and calls `onConnect` before it resolves", async () => {
  const connected = vi.fn();
  client = createDialogueClient({ url: server.url, auth: { userId: "ann" } });
  client.onConnect(connected);
  const connecting = client.connect();
  expect(client.state).toBe("connecting");
  await connecting;
  expect(connected).toHaveBeenCalledTimes(1);
  expect(client).toMatchObject({ state: "connected", connected: true, userId: "ann" });
  expect(client.id).not.toBe("");
});

test("a client that says nothing of itself is known by its client id", async () => {
  client = createDialogueClient({ url: server.url });
  await client.connect();
  expect(client.userId).toBe(client.id);
});

test.each(["websocket", "polling"] as const)("one transport alone will do: %s", async (transport) => {
  client = createDialogueClient({ url: server.url, transports: [transport] });
  await client.connect();
  expect(await client.listRooms()).toMatchObject([{ id: "general" }]);
});

test.each(["websocket", "polling"] as const)("a server under a prefix is reached by its `path`: %s", async (transport) => {
  const nested = await HostileServer.start("/app/api/ws");
  client = createDialogueClient({ url: nested.url, path: "/app/api/ws", transports: [transport] });
  await client.connect();
  expect(client.userId).toBe("ann");
  const elsewhere = createDialogueClient({ url: nested.url, transports: [transport], reconnection: false, autoConnect: false });
  elsewhere.onError(() => {});
  await expect(elsewhere.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
});

test("a `ws://` url is as good as an `http://` one", async () => {
  client = createDialogueClient({ url: server.url.replace("http:", "ws:") });
  await client.connect();
  expect(client.connected).toBe(true);
});

test("connecting twice at once is one connection", async () => {
  const connected = vi.fn();
  client = createDialogueClient({ url: server.url });
  client.onConnect(connected);
  await Promise.all([client.connect(), client.connect()]);
  await client.connect();
  expect(connected).toHaveBeenCalledTimes(1);
});

test("the rooms can be listed", async () => {
  client = createDialogueClient({ url: server.url });
  await client.connect();
  await client.join("general");
  expect(await client.listRooms()).toEqual([
    expect.objectContaining({ id: "general", name: "General Chat", size: expect.any(Number) }),
  ]);
});

describe("the state of a client", () => {
  test("is told as it changes", async () => {
    const proxy = await Proxy.start(server.url);
    const told: string[] = [];
    client = createDialogueClient({ url: proxy.url, autoConnect: false, reconnectionDelayMs: 20 });
    client.onState((state) => told.push(state));
    await client.connect();
    const connected = next<void>((handler) => client!.onConnect(() => handler()));
    proxy.cut();
    await connected;
    client.disconnect();
    expect(told).toEqual(["connecting", "connected", "connecting", "connected", "disconnected"]);
    proxy.stop();
  });

  test("is told with the reason why there is no connection, until there is one", async () => {
    let userId = "system";
    const told: unknown[] = [];
    client = createDialogueClient({ url: server.url, auth: () => ({ userId }), autoConnect: false });
    client.onError(() => {});
    client.onState((state, error) => told.push([state, error?.code]));
    client.open();
    await vi.waitFor(() => expect(client!.error).toMatchObject({ code: "UNAUTHENTICATED" }));
    userId = "ann";
    client.open();
    await vi.waitFor(() => expect(client!.connected).toBe(true));
    expect(client.error).toBeUndefined();
    expect(told).toEqual([
      ["connecting", undefined],
      ["disconnected", "UNAUTHENTICATED"],
      ["connecting", "UNAUTHENTICATED"],
      ["connected", undefined],
    ]);
  });

  test("may be changed by whoever hears of a failure, and later connections are kept up as any other", async () => {
    const proxy = await Proxy.start(server.url);
    proxy.refuse();
    client = createDialogueClient({
      url: proxy.url,
      autoConnect: false,
      reconnectionDelayMs: 20,
      reconnectionDelayMaxMs: 50,
    });
    client.onError(() => {});
    client.onState((state) => state === "disconnected" && client!.open());
    const refused = new Promise<void>((resolve) => {
      let links = 0;
      proxy.onLink = () => void (++links === 3 && resolve());
    });
    await expect(client.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
    await refused;
    const reconnected = () => next<void>((handler) => client!.onConnect(() => handler()));
    let connected = reconnected();
    proxy.admit();
    await connected;
    for (let cut = 0; cut < 2; cut++) {
      connected = reconnected();
      proxy.refuse();
      await new Promise<void>((resolve) => (proxy.onLink = resolve));
      proxy.admit();
      await connected;
    }
    expect(client.state).toBe("connected");
    client.disconnect();
    proxy.stop();
  });

  test("may be changed by whoever hears of it", async () => {
    client = createDialogueClient({ url: server.url, autoConnect: false });
    const off = client.onState((state) => state === "connecting" && client!.disconnect());
    await expect(client.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(client.state).toBe("disconnected");
    off();
    await client.connect();
    expect(client.connected).toBe(true);
  });
});

describe("credentials", () => {
  test("may come from an asynchronous function", async () => {
    client = createDialogueClient({ url: server.url, auth: async () => ({ userId: "bob" }) });
    await client.connect();
    expect(client.userId).toBe("bob");
  });

  test("that the server refuses reject, reach `onError`, and leave the client disconnected", async () => {
    const reported = vi.fn();
    client = createDialogueClient({ url: server.url, auth: { userId: "system" } });
    client.onError(reported);
    const error: unknown = await client.connect().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DialogueError);
    expect(error).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(reported).toHaveBeenCalledExactlyOnceWith(error);
    expect(client.state).toBe("disconnected");
  });

  test("that cannot be had reject with the reason", async () => {
    const cause = new Error("token service is down");
    client = createDialogueClient({ url: server.url, auth: () => Promise.reject(cause) });
    client.onError(() => {});
    await expect(client.connect()).rejects.toMatchObject({ code: "UNAUTHENTICATED", cause });
    expect(client.state).toBe("disconnected");
  });

  test("that are no JSON reject as those that cannot be had", async () => {
    client = createDialogueClient({ url: server.url, auth: { userId: 5n } });
    client.onError(() => {});
    const error: unknown = await client.connect().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DialogueError);
    expect(error).toMatchObject({ code: "UNAUTHENTICATED", cause: expect.any(TypeError) });
  });

  test("are offered once, whoever asks to be connected meanwhile", async () => {
    let offer: (credentials: object) => void;
    const auth = vi.fn(() => new Promise<object>((resolve) => (offer = resolve)));
    client = createDialogueClient({ url: server.url, auth });
    await vi.waitFor(() => expect(auth).toHaveBeenCalled());
    const connecting = client.connect();
    offer!({ userId: "ann" });
    await connecting;
    expect(client.userId).toBe("ann");
    expect(auth).toHaveBeenCalledTimes(1);
  });

  test.each(["websocket", "polling"] as const)("auth-limit: that are longer than the server takes are not sent, and not tried again: %s", async (transport) => {
    const head = '40{"userId":"ann","token":""}'.length;
    const auth = vi.fn(() => ({ userId: "ann", token: "x".repeat(65_501 - head) }));
    client = createDialogueClient({ url: server.url, auth, transports: [transport], reconnectionDelayMs: 10, reconnectionDelayMaxMs: 10 });
    const error = await next<DialogueError>((handler) => client!.onError(handler));
    client.onError(() => {});
    expect(error).toMatchObject({ code: "TOO_LARGE", size: 65_501, limit: 65_500 });
    expect(client).toMatchObject({ state: "disconnected", error });
    await expect(client.connect()).rejects.toMatchObject({ code: "TOO_LARGE" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(auth).toHaveBeenCalledTimes(2);
    auth.mockReturnValue({ userId: "ann", token: "x".repeat(65_500 - head) });
    await client.connect();
    expect(client.userId).toBe("ann");
  });

  test("auth-limit: that are longer than the server says when it opens the transport are not sent either", async () => {
    const proxy = await Proxy.start(server.url);
    onTestFinished(() => proxy.stop());
    proxy.edit = (text) => [text.replace(/"maxPayload":\d+/, '"maxPayload":100')];
    client = createDialogueClient({ url: proxy.url, auth: { userId: "x".repeat(100) }, autoConnect: false, transports: ["websocket"] });
    client.onError(() => {});
    await expect(client.connect()).rejects.toMatchObject({ code: "TOO_LARGE", limit: 100 });
  });

  test("that come too late are reported, and asked for again by a client that keeps trying", async () => {
    const auth = vi.fn().mockReturnValueOnce(new Promise(() => {})).mockReturnValue({ userId: "ann" });
    client = createDialogueClient({ url: server.url, auth, timeoutMs: 200, reconnectionDelayMs: 20 });
    expect(await next((handler) => client!.onError(handler))).toMatchObject({ code: "TIMEOUT" });
    expect(client).toMatchObject({ state: "connecting", error: { code: "TIMEOUT" } });
    await next<void>((handler) => client!.onConnect(() => handler()));
    expect(client.userId).toBe("ann");
    const late = client.authenticate(() => new Promise(() => {}));
    await expect(late).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  test("that come too late are reported, even if the connection that they were for is closed before", async () => {
    const proxy = await Proxy.start(server.url);
    const auth = vi.fn(() => new Promise<object>(() => {}));
    client = createDialogueClient({ url: proxy.url, auth, timeoutMs: 500, reconnectionDelayMs: 20 });
    await vi.waitFor(() => expect(auth).toHaveBeenCalled());
    proxy.cut();
    expect(await next((handler) => client!.onError(handler))).toMatchObject({ code: "TIMEOUT" });
    expect(auth).toHaveBeenCalledTimes(1);
    client.disconnect();
    proxy.stop();
  });

  test("that come too late are not waited for", async () => {
    client = createDialogueClient({ url: server.url, auth: () => new Promise(() => {}), timeoutMs: 200 });
    client.onError(() => {});
    await expect(client.connect()).rejects.toMatchObject({ code: "TIMEOUT" });
    expect(client.state).toBe("disconnected");
  });
});

describe("a client without a connection", () => {
  beforeEach(() => {
    client = createDialogueClient({ url: "http://127.0.0.1:1", autoConnect: false });
  });

  test("cannot reach a server that is not there, and does not go on trying", async () => {
    const reported = vi.fn();
    client!.onError(reported);
    await expect(client!.connect()).rejects.toMatchObject({ code: "DISCONNECTED", cause: expect.any(Error) });
    expect(reported).toHaveBeenCalledTimes(1);
    expect(client!.state).toBe("disconnected");
  });

  test("says so on the console where nobody listens for errors", async () => {
    const consoleError = vi.spyOn(console, "error").mockReturnValue();
    await expect(client!.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(consoleError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: "DISCONNECTED" }));
  });

  test("refuses requests", async () => {
    await expect(client!.join("general")).rejects.toMatchObject({ code: "DISCONNECTED", roomId: "general" });
    await expect(client!.listRooms()).rejects.toMatchObject({ code: "DISCONNECTED" });
  });
});

describe("a signal", () => {
  test("that is aborted gives up connecting", async () => {
    client = createDialogueClient({ url: server.url, auth: () => new Promise(() => {}) });
    const aborted = new AbortController();
    const connecting = client.connect({ signal: aborted.signal });
    aborted.abort("enough");
    await expect(connecting).rejects.toBe("enough");
    await vi.waitFor(() => expect(client!.state).toBe("disconnected"));
    await expect(client.connect({ signal: AbortSignal.abort("never") })).rejects.toBe("never");
    expect(client.state).toBe("disconnected");
  });

  test("that is aborted already is no unhandled rejection", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    client = createDialogueClient({ url: server.url, autoConnect: false });
    void client.connect({ signal: AbortSignal.abort("never") });
    await new Promise((resolve) => setTimeout(resolve));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test("that is aborted later changes nothing", async () => {
    client = createDialogueClient({ url: server.url });
    const aborted = new AbortController();
    await client.connect({ signal: aborted.signal });
    aborted.abort();
    expect(await client.listRooms()).toHaveLength(1);
  });

  test("that is aborted gives up a join, and leaves the room unless somebody else waits for it", async () => {
    client = createDialogueClient({ url: server.url });
    await client.connect();
    const aborted = new AbortController();
    const [given, kept] = [client.join("general", { signal: aborted.signal }), client.join("general")];
    aborted.abort("enough");
    await expect(given).rejects.toBe("enough");
    const room = await kept;
    expect(room.state).toBe("joined");
    await room.leave();

    const again = new AbortController();
    const alone = client.join("general", { signal: again.signal });
    again.abort("enough");
    await expect(alone).rejects.toBe("enough");
    await vi.waitFor(async () => expect(await client!.listRooms()).toMatchObject([{ size: 0 }]));
    expect(client.getRoom("general")).toBeUndefined();
  });
});

describe("disconnecting", () => {
  test("right away keeps the client from connecting by itself", async () => {
    client = createDialogueClient({ url: server.url });
    client.disconnect();
    await new Promise((resolve) => setTimeout(resolve));
    expect(client.state).toBe("disconnected");
  });

  test("is announced, and the client may connect again", async () => {
    client = createDialogueClient({ url: server.url });
    await client.connect();
    const reason = next<string>((handler) => client!.onDisconnect(handler));
    client.disconnect();
    expect(client.state).toBe("disconnected");
    expect(await reason).toBe("io client disconnect");
    await client.connect();
    expect(client.connected).toBe(true);
  });

  test("while connecting rejects that, and reports nothing", async () => {
    const reported = vi.fn();
    client = createDialogueClient({ url: server.url });
    client.onError(reported);
    const connecting = client.connect();
    client.disconnect();
    await expect(connecting).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(client.state).toBe("disconnected");
    expect(reported).not.toHaveBeenCalled();
  });

  test("as soon as the client is connected rejects that, too", async () => {
    client = createDialogueClient({ url: server.url });
    client.onConnect(() => client!.disconnect());
    await expect(client.connect()).rejects.toMatchObject({ code: "DISCONNECTED" });
    expect(client.state).toBe("disconnected");
  });

  test("and connecting again at once connects", async () => {
    client = createDialogueClient({ url: server.url });
    const first = client.connect();
    client.disconnect();
    await client.connect();
    expect(client.connected).toBe(true);
    await expect(first).rejects.toMatchObject({ code: "DISCONNECTED" });
  });

  test("while joining rejects the join, and no room is joined on the next connection", async () => {
    client = createDialogueClient({ url: server.url });
    await client.connect();
    const joining = client.join("general");
    client.disconnect();
    await expect(joining).rejects.toMatchObject({ code: "DISCONNECTED", roomId: "general" });
    await client.connect();
    await vi.waitFor(async () => expect(await client!.listRooms()).toMatchObject([{ id: "general", size: 0 }]));
  });

  test("leaves the rooms", async () => {
    client = createDialogueClient({ url: server.url });
    client.onError(() => {});
    await client.connect();
    const room = await client.join("general");
    client.disconnect();
    await expect(room.trigger("typing", { isTyping: true })).rejects.toMatchObject({ code: "DISCONNECTED" });
    await client.connect();
    await expect(room.trigger("typing", { isTyping: true })).rejects.toMatchObject({ code: "NOT_IN_ROOM" });
  });
});
