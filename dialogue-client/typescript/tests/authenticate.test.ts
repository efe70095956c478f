import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type DialogueClientOptions, type DialogueError } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { HostileServer, welcome } from "./support/hostile-server.js";
import { inSeconds, login, reached } from "./support/login.js";
import { next, nextEvent } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

interface LoungeContract {
  triggers: { message: { text: string } };
  events: { message: { text: string } };
}

type Client = DialogueClient<{ rooms: { lounge: LoungeContract; vip: LoungeContract } }>;

let server: ExampleServer;
let client: Client;

beforeEach(async () => {
  server = await ExampleServer.start("authenticated");
});
afterEach(async () => {
  client.disconnect();
  await server.kill();
});

async function connect(options: DialogueClientOptions): Promise<Client> {
  client = createDialogueClient({
    url: server.url,
    reconnectionDelayMs: 50,
    reconnectionDelayMaxMs: 100,
    ...options,
  });
  client.onError(() => {});
  await client.connect();
  return client;
}

const connected = (client: Client) => next<void>((handler) => client.onConnect(() => handler()));
const lost = (client: Client) => next<string>((handler) => client.onDisconnect(handler));
const failed = (client: Client) => next<DialogueError>((handler) => client.onError(handler));
const welcomed = (client: Client) => next<{ role: string }>((handler) => client.on("welcome", handler));

describe("new credentials", () => {
  test("keep the connection beyond the end of the old ones", async () => {
    const end = inSeconds(1);
    const ann = await connect({ auth: login("ann", end) });
    const { id } = ann;
    const later = inSeconds(60);
    const expiry = { expiresAt: later * 1_000, expiresInMs: expect.any(Number) };
    expect(await ann.authenticate(login("ann", later))).toEqual(expiry);
    await reached(end + 0.5);
    expect(await ann.listRooms()).toHaveLength(2);
    expect(ann).toMatchObject({ connected: true, id, userId: "ann" });
  });

  test("are those that `auth` gives, where no others are", async () => {
    const later = inSeconds(60);
    const auth = vi.fn().mockResolvedValueOnce(login("ann")).mockResolvedValueOnce(login("ann", later));
    const ann = await connect({ auth });
    expect(await ann.authenticate()).toMatchObject({ expiresAt: later * 1_000 });
    expect(auth).toHaveBeenCalledTimes(2);
  });

  test("decide what the client may do from then on", async () => {
    const ann = await connect({ auth: login("ann") });
    await expect(ann.join("vip")).rejects.toMatchObject({ code: "JOIN_DENIED" });
    await ann.authenticate(login("ann", undefined, "vip"));
    expect(await ann.join("vip")).toMatchObject({ roomId: "vip" });
  });

  test("are what later connections send", async () => {
    const ann = await connect({ auth: login("ann") });
    await ann.authenticate(async () => login("ann", undefined, "vip"));
    const welcome = welcomed(ann);
    await server.kill();
    await server.restart();
    expect(await welcome).toEqual({ role: "a VIP" });
  });

  test("of another user reject, reach no `onError`, and are not kept", async () => {
    const ann = await connect({ auth: login("ann") });
    const reported = vi.fn();
    const off = ann.onError(reported);
    await expect(ann.authenticate(login("bob"))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(reported).not.toHaveBeenCalled();
    off();
    const again = connected(ann);
    await server.kill();
    await server.restart();
    await again;
    expect(ann.userId).toBe("ann");
  });

  test("that are refused do not undo those that came after them", async () => {
    const ann = await connect({ auth: login("ann") });
    const refused = expect(ann.authenticate(login("bob"))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await ann.authenticate(login("ann", undefined, "vip"));
    await refused;
    const welcome = welcomed(ann);
    await server.kill();
    await server.restart();
    expect(await welcome).toEqual({ role: "a VIP" });
  });

  test("that are refused one after the other leave those that the server took in last", async () => {
    const ann = await connect({ auth: login("ann") });
    await ann.authenticate(login("ann", undefined, "vip"));
    const both = [ann.authenticate(login("bob")), ann.authenticate(login("eve"))];
    for (const refused of both) await expect(refused).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const welcome = welcomed(ann);
    await server.kill();
    await server.restart();
    expect(await welcome).toEqual({ role: "a VIP" });
  });

  test("that are taken in after later ones were refused are kept", async () => {
    const ann = await connect({ auth: login("ann") });
    let give: () => void;
    const given = new Promise<void>((resolve) => (give = resolve));
    const slow = ann.authenticate(() => given.then(() => login("ann", undefined, "vip")));
    await expect(ann.authenticate(login("bob"))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    give!();
    await slow;
    const welcome = welcomed(ann);
    await server.kill();
    await server.restart();
    expect(await welcome).toEqual({ role: "a VIP" });
  });

  test("that have expired reject, and the connection stays", async () => {
    const ann = await connect({ auth: login("ann") });
    await expect(ann.authenticate(login("ann", inSeconds(-10)))).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
    expect(await ann.listRooms()).toHaveLength(2);
  });

  test("that cannot be had reject with the reason", async () => {
    const cause = new Error("token service is down");
    const ann = await connect({ auth: login("ann") });
    const authenticating = ann.authenticate(() => Promise.reject(cause));
    await expect(authenticating).rejects.toMatchObject({ code: "UNAUTHENTICATED", cause });
  });

  test("authenticate_with_credentials_that_no_connection_can_present_rejects_and_keeps_the_last_ones", async () => {
    const hostile = await HostileServer.start();
    const ann = await connect({ url: hostile.url, auth: { token: "short" } });
    // With `{"token":""}` and `40`, one byte more than 65,500.
    await expect(ann.authenticate({ token: "x".repeat(65_487) })).rejects.toMatchObject({
      code: "TOO_LARGE",
      size: 65_501,
      limit: 65_500,
    });
    await ann.authenticate({ token: "x".repeat(65_486) });
    const again = connected(ann);
    hostile.drop();
    await again;
  });

  test("without a connection are for the next one", async () => {
    const ann = await connect({ auth: login("ann") });
    const closed = lost(ann);
    ann.disconnect();
    await closed;
    await expect(ann.authenticate(login("bob"))).rejects.toMatchObject({ code: "DISCONNECTED" });
    await ann.connect();
    expect(ann.userId).toBe("bob");
  });
});

describe("credentials that are about to expire", () => {
  test("are renewed by a function, for as long as it gives new ones, on the connection that there is", async () => {
    const ends = [inSeconds(1), inSeconds(2), inSeconds(3)];
    const last = ends.at(-1)!;
    const auth = vi.fn(() => login("ann", ends.shift() ?? inSeconds(60)));
    const ann = await connect({ auth });
    const { id } = ann;
    await ann.authenticate();
    await reached(last + 0.5);
    expect(await ann.listRooms()).toHaveLength(2);
    expect(ann).toMatchObject({ connected: true, id });
    expect(auth).toHaveBeenCalledTimes(4);
  });

  test.each([
    ["ahead", 3_600_000],
    ["behind", -3_600_000],
  ])("renew-clock: are renewed in time, once, by a device whose clock is an hour %s", async (_, off) => {
    const end = inSeconds(2);
    const auth = vi.fn().mockReturnValueOnce(login("ann", end)).mockReturnValue(login("ann", inSeconds(60)));
    const expired = reached(end + 0.5);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + off });
    onTestFinished(() => void vi.useRealTimers());
    const ann = await connect({ auth });
    const { id } = ann;
    await expired;
    expect(await ann.listRooms()).toHaveLength(2);
    expect(ann).toMatchObject({ connected: true, id });
    expect(auth).toHaveBeenCalledTimes(2);
  });

  test("are renewed from the first connection on", async () => {
    const end = inSeconds(1);
    const auth = vi.fn().mockReturnValueOnce(login("ann", end)).mockImplementation(() => login("ann"));
    const ann = await connect({ auth });
    const { id } = ann;
    await reached(end + 0.5);
    expect(ann).toMatchObject({ connected: true, id });
    expect(auth).toHaveBeenCalledTimes(2);
  });

  test("and cannot be had are reported, and the connection is opened again when they have expired", async () => {
    const end = inSeconds(2);
    const auth = vi
      .fn()
      .mockReturnValueOnce(login("ann", end))
      .mockReturnValueOnce(login("ann", end))
      .mockRejectedValueOnce(new Error("token service is down"))
      .mockImplementation(() => login("ann"));
    const ann = await connect({ auth });
    const reported: string[] = [];
    ann.onError(({ code }) => reported.push(code));
    await ann.authenticate();
    await connected(ann);
    expect(reported).toEqual(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);
  });

  test("and cannot be had are an error until others are", async () => {
    const ann = await connect({ auth: lapsing() });
    expect(await failed(ann)).toBe(ann.error);
    const error = next((handler) => ann.onState((_, error) => handler(error)));
    await ann.authenticate();
    expect(ann).toMatchObject({ connected: true, error: undefined });
    expect(await error).toBeUndefined();
  });

  test("are not renewed where `auth` is a value", async () => {
    const ann = await connect({ auth: login("ann") });
    await ann.authenticate(login("ann", inSeconds(1)));
    expect(await failed(ann)).toMatchObject({ code: "TOKEN_EXPIRED" });
  });
});

/** Connects to a server whose credentials always last that long; returns when `auth` was called. */
async function renewing(expiry: object) {
  const hostile = await HostileServer.start();
  const lasting = { expiresAt: undefined, expiresInMs: undefined, ...expiry };
  hostile.welcomes.push({ ...welcome(), ...lasting });
  hostile.answers.set("dialogue:authenticate", Array.from({ length: 100 }, () => ({ ok: true, ...lasting })));
  const calls: number[] = [];
  await connect({ url: hostile.url, auth: () => (calls.push(performance.now()), {}) });
  return calls;
}

test("renew-short: credentials that last as short as the ones before are renewed once a second at most", async () => {
  const calls = await renewing({ expiresInMs: 100 });
  await vi.waitFor(() => expect(calls.length).toBeGreaterThanOrEqual(4), { timeout: 10_000 });
  // The first renewal is due at once; the timers of Node may be a millisecond early.
  for (const at of [2, 3]) expect(calls[at]! - calls[at - 1]!).toBeGreaterThan(998);
});

test("credentials_with_expires_at_alone_are_not_renewed", async () => {
  const calls = await renewing({ expiresAt: Date.now() + 1_000 });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(calls).toHaveLength(1);
});

/** Gives credentials that expire, then none when they are to be renewed, and good ones from then on. */
function lapsing() {
  const lapse = vi.fn().mockReturnValueOnce(login("ann", inSeconds(1))).mockRejectedValueOnce(new Error("no token"));
  return lapse.mockImplementation(() => login("ann"));
}

describe("credentials that expire", () => {
  test("are renewed by a function, and the rooms are joined again", async () => {
    const auth = lapsing();
    const ann = await connect({ auth });
    const room = await ann.join("lounge");
    const { id } = ann;
    const reported: string[] = [];
    ann.onError(({ code }) => reported.push(code));
    const [closed, again] = [lost(ann), connected(ann)];
    expect(await closed).toBe("io server disconnect");
    expect(ann.state).toBe("connecting");
    await again;
    expect(ann.id).not.toBe(id);
    expect(reported).toEqual(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);
    expect(auth).toHaveBeenCalledTimes(3);
    const heard = nextEvent(room, "message");
    await room.trigger("message", { text: "back" });
    expect((await heard).data).toEqual({ text: "back" });
  });

  test.each([
    ["are constant", false, true],
    ["may not be used to connect again", true, false],
  ])("and %s leave the client disconnected", async (_, renewable, reconnection) => {
    const credentials = login("ann", inSeconds(1));
    const ann = await connect({ auth: renewable ? () => credentials : credentials, reconnection });
    const room = await ann.join("lounge");
    const ended = vi.fn();
    room.onState((state, error) => ended(state, error?.code));
    const [error, reason] = [failed(ann), lost(ann)];
    expect(await error).toMatchObject({ code: "TOKEN_EXPIRED" });
    expect(await reason).toBe("io server disconnect");
    expect(ann).toMatchObject({ state: "disconnected", error: { code: "TOKEN_EXPIRED" } });
    expect(ended.mock.calls).toEqual([["left", "TOKEN_EXPIRED"]]);
  });

  test("leave a client disconnected that disconnects when it hears of it", async () => {
    const auth = lapsing();
    const ann = await connect({ auth });
    ann.onError(({ code }) => {
      if (code === "TOKEN_EXPIRED") ann.disconnect();
    });
    expect(await lost(ann)).toBe("io client disconnect");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ann.state).toBe("disconnected");
    expect(auth).toHaveBeenCalledTimes(2);
  });

  test("or that disconnects when the connection is closed", async () => {
    const auth = lapsing();
    const ann = await connect({ auth });
    const closed = lost(ann);
    ann.onDisconnect(() => ann.disconnect());
    expect(await closed).toBe("io server disconnect");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ann.state).toBe("disconnected");
    expect(auth).toHaveBeenCalledTimes(2);
  });
});

describe("a reconnection with credentials that have expired", () => {
  test("is reported, and tried again with those that the function gives next", async () => {
    const auth = vi
      .fn()
      .mockReturnValueOnce(login("ann"))
      .mockReturnValueOnce(login("ann", inSeconds(-10)))
      .mockReturnValueOnce(login("ann"));
    const ann = await connect({ auth });
    const room = await ann.join("lounge");
    const [error, again] = [failed(ann), connected(ann)];
    await server.kill();
    await server.restart();
    expect(await error).toMatchObject({ code: "TOKEN_EXPIRED" });
    expect(ann.state).toBe("connecting");
    await again;
    expect(auth).toHaveBeenCalledTimes(3);
    expect(ann.getRoom("lounge")).toBe(room);
  });

  test("is tried as often as the client was told", async () => {
    const auth = vi.fn(() => login("ann", inSeconds(-10))).mockReturnValueOnce(login("ann"));
    // Through a proxy, since a server that is started again may take longer than both attempts.
    const proxy = await Proxy.start(server.url);
    const ann = await connect({ url: proxy.url, auth, reconnectionAttempts: 2, reconnectionDelayMaxMs: 50 });
    const reported: string[] = [];
    const gaveUp = new Promise<void>((resolve) => {
      ann.onError(({ code }) => {
        reported.push(code);
        if (ann.state === "disconnected") resolve();
      });
    });
    proxy.cut();
    await gaveUp;
    proxy.stop();
    expect(reported).toEqual(["TOKEN_EXPIRED", "TOKEN_EXPIRED"]);
  });

  test("ends there if they are constant", async () => {
    const end = inSeconds(1);
    const ann = await connect({ auth: login("ann", end), reconnectionDelayMaxMs: 50 });
    const closed = lost(ann);
    await server.kill();
    await closed;
    const error = failed(ann);
    await reached(end);
    await server.restart();
    expect(await error).toMatchObject({ code: "TOKEN_EXPIRED" });
    expect(ann.state).toBe("disconnected");
  });
});

test("a connection that the server closes on purpose stays closed, even after one whose credentials had expired", async () => {
  const proxy = await Proxy.start(server.url);
  const auth = lapsing();
  const ann = await connect({ url: proxy.url, transports: ["websocket"], auth });
  const again = connected(ann);
  await lost(ann);
  await again;
  const reason = lost(ann);
  proxy.disconnect();
  expect(await reason).toBe("io server disconnect");
  expect(ann.state).toBe("disconnected");
  expect(auth).toHaveBeenCalledTimes(3);
  proxy.stop();
});

test("a first connection with credentials that have expired rejects, even if a function gave them", async () => {
  await expect(connect({ auth: () => login("ann", inSeconds(-10)) })).rejects.toMatchObject({ code: "TOKEN_EXPIRED" });
  expect(client.state).toBe("disconnected");
});
