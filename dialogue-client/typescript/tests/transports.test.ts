/** Which transport a client settles on, on a real server, through a proxy. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { createDialogueClient, type DialogueClient, type DialogueClientOptions, type EventMessage } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { welcome } from "./support/hostile-server.js";
import { next } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

let server: ExampleServer;
let proxy: Proxy;

beforeAll(async () => {
  server = await ExampleServer.start("chat");
});
beforeEach(async () => {
  proxy = await Proxy.start(server.url);
});
afterEach(() => proxy.stop());
afterAll(() => server.kill());

function clientOf(options: DialogueClientOptions = {}): DialogueClient {
  const client = createDialogueClient({ url: proxy.url, timeoutMs: 1_000, ...options });
  client.onError(() => {});
  onTestFinished(() => client.disconnect());
  return client;
}

/** Whether events come to a client, and go from it. */
async function talks(client: DialogueClient): Promise<void> {
  const room = await client.join("general");
  const heard = next<EventMessage>((handler) => room.on("message", handler));
  await room.trigger("message", { text: "heard" });
  expect((await heard).data).toMatchObject({ text: "heard" });
}

test("a client begins with WebSocket, and stays there", async () => {
  const client = clientOf();
  await client.connect();
  await talks(client);
  expect(proxy.transports).toEqual(["websocket"]);
});

describe("a client whose WebSocket", () => {
  test("is opened and carries nothing settles on polling, without an upgrade", async () => {
    proxy.edit = () => [];
    const client = clientOf();
    await client.connect();
    await talks(client);
    expect(proxy.transports[0]).toBe("websocket");
    expect(new Set(proxy.transports.slice(1))).toEqual(new Set(["polling"]));
  });

  test("is opened and closed before it carries anything settles on polling at once", async () => {
    proxy.edit = () => {
      proxy.hangUp();
      return [];
    };
    const client = clientOf({ timeoutMs: 600_000 });
    await client.connect();
    await talks(client);
    expect(new Set(proxy.transports.slice(1))).toEqual(new Set(["polling"]));
  });

  test("cannot be opened settles on polling", async () => {
    proxy.onLink = () => {
      proxy.onLink = () => {};
      proxy.refuse();
      setImmediate(() => proxy.admit());
    };
    const client = clientOf();
    await client.connect();
    await talks(client);
    expect(new Set(proxy.transports)).toEqual(new Set(["polling"]));
  });

  test("carries nothing, and that may use nothing else, fails in time", async () => {
    proxy.edit = () => [];
    const client = clientOf({ transports: ["websocket"], timeoutMs: 300 });
    await expect(client.connect()).rejects.toMatchObject({ code: expect.stringMatching(/^(TIMEOUT|DISCONNECTED)$/) });
  });
});

test("a client that is told to begin with polling is upgraded", async () => {
  const client = clientOf({ transports: ["polling", "websocket"] });
  await client.connect();
  await expect.poll(() => proxy.transports).toContain("websocket");
  await talks(client);
  expect(proxy.transports[0]).toBe("polling");
});

describe("cookies over polling", () => {
  /** The cookies of the requests to a server that sets one on the first. */
  async function cookies(options: DialogueClientOptions): Promise<(string | undefined)[]> {
    const http = createServer();
    const seen: (string | undefined)[] = [];
    const io = new Server(http, { cookie: { name: "session" } });
    io.engine.on("headers", (_: unknown, { headers }: IncomingMessage) => seen.push(headers.cookie));
    io.on("connection", (socket) => socket.emit("dialogue:connected", welcome()));
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void io.close());
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    await clientOf({ url, transports: ["polling"], ...options }).connect();
    return seen;
  }

  test("are carried with `withCredentials`", async () => {
    const [first, ...others] = await cookies({ withCredentials: true });
    expect(first).toBeUndefined();
    expect(new Set(others.map((cookie) => cookie?.split("=")[0]))).toEqual(new Set(["session"]));
  });

  test("are not carried without it", async () => {
    expect(new Set(await cookies({}))).toEqual(new Set([undefined]));
  });
});
