// @vitest-environment happy-dom
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { EventMessage, Room } from "../../src/index.js";
import { createDialogueHooks, type History } from "../../src/react/index.js";
import { ExampleServer } from "../support/example-server.js";
import { clientOf, latest, proxyOf, render } from "./support.js";

interface Persistence {
  rooms: { general: { triggers: { message: Said }; events: { message: Said } } };
}
interface Said {
  text: string;
  username: string;
}
type Seen = History<EventMessage<Said, "message">>;

const { DialogueProvider, useHistory, useRoom } = createDialogueHooks<Persistence>();

let server: ExampleServer | undefined;

afterEach(() => server?.kill());

async function startPersistence(): Promise<ExampleServer> {
  const folder = await mkdtemp(join(tmpdir(), "dialogue-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return (server = await ExampleServer.start("persistence", { DATABASE_URL: `sqlite:${join(folder, "chat.db")}` }));
}

async function joined(url: string) {
  const client = clientOf<Persistence>(url, { auth: { userId: "bob" } });
  await client.connect();
  return await client.join("general");
}

type GeneralRoom = Room<Persistence["rooms"]["general"]>;

async function say(room: GeneralRoom, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, index) => from + index);
  await Promise.all(numbers.map((number) => room.trigger("message", { text: `${number}`, username: "Bob" })));
}

/** The texts from one number up to another, as a history shows them. */
function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `${from + index}`);
}

function texts(seen: Seen | undefined): string[] {
  return seen?.messages.map(({ data }) => data.text) ?? [];
}

function Log({ see, pageSize }: { see: (seen: Seen) => void; pageSize?: number }) {
  const { room } = useRoom("general");
  see(useHistory(room, "message", { pageSize }));
  return null;
}

test("five hundred stored messages are read backwards, page by page, and new ones are appended", async () => {
  const { url } = await startPersistence();
  const bob = await joined(url);
  // Each connection may say that much at once.
  await say(await joined(url), 0, 200);
  await say(await joined(url), 200, 400);
  await say(bob, 400, 500);
  const seen = latest<Seen>();
  const client = clientOf<Persistence>(url);
  render(
    <DialogueProvider client={client}>
      <Log see={seen.see} pageSize={80} />
    </DialogueProvider>,
  );
  await expect.poll(() => texts(seen.get())).toEqual(numbers(420, 500));
  await say(bob, 500, 501);
  await expect.poll(() => texts(seen.get())).toEqual(numbers(420, 501));
  for (const from of [340, 260, 180, 100, 20, 0]) {
    expect(seen.get()).toMatchObject({ hasMore: true, loading: false });
    seen.get()!.loadMore();
    seen.get()!.loadMore();
    await expect.poll(() => texts(seen.get())[0]).toBe(`${from}`);
  }
  expect(texts(seen.get())).toEqual(numbers(0, 501));
  expect(seen.get()).toMatchObject({ hasMore: false, loading: false, error: undefined });
});

test("what is said while a page is under way is neither lost nor doubled, across remounts and cuts", async () => {
  const { url } = await startPersistence();
  const bob = await joined(url);
  await say(bob, 0, 30);
  const proxy = await proxyOf(url);
  const seen = latest<Seen>();
  // Socket.IO takes a connection that is cut between its two handshakes for one that is still being opened.
  const client = clientOf<Persistence>(proxy.url, { timeoutMs: 1_000 });
  const tree = (key: number) => (
    <DialogueProvider client={client}>
      <Log key={key} see={seen.see} pageSize={20} />
    </DialogueProvider>
  );
  proxy.delayMs = 30;
  await client.connect();
  const { draw } = render(tree(0));
  for (let number = 30; number < 180; number++) {
    await say(bob, number, number + 1);
    if (number % 10 === 0) draw(tree(number));
    if (number % 50 === 0) proxy.cut();
  }
  await expect.poll(() => texts(seen.get()).at(-1), { timeout: 5_000 }).toBe("179");
  await expect.poll(() => seen.get()?.loading).toBe(false);
  const shown = texts(seen.get());
  expect(shown).toEqual(numbers(180 - shown.length, 180));
  for (const { messages } of seen.values) {
    const seqs = messages.map(({ seq }) => seq!);
    expect(seqs).toEqual(seqs.map((_, index) => seqs[0]! + index));
  }
});

test("what a page has is not shown again when it is told after the page", async () => {
  const { url } = await startPersistence();
  const bob = await joined(url);
  const proxy = await proxyOf(url);
  let held: string | undefined;
  proxy.edit = (text) => {
    if (!text.includes('"dialogue:event"')) return [text];
    if (held) return [held, text];
    held = text;
    return [];
  };
  const seen = latest<Seen>();
  const client = clientOf<Persistence>(proxy.url);
  await client.connect();
  await client.join("general");
  await say(bob, 0, 1);
  await expect.poll(() => held).toBeDefined();
  render(
    <DialogueProvider client={client}>
      <Log see={seen.see} />
    </DialogueProvider>,
  );
  await expect.poll(() => texts(seen.get())).toEqual(["0"]);
  await say(bob, 1, 2);
  await expect.poll(() => texts(seen.get())).toContain("1");
  expect(texts(seen.get())).toEqual(["0", "1"]);
});

test("where the room is not subscribed to the event, nothing falls between the first page and what is told", async () => {
  const { url } = await startPersistence();
  const bob = await joined(url);
  const client = clientOf<Persistence>(url);
  await client.connect();
  const room = await client.join("general", { subscribe: [] });
  const saying = say(bob, 0, 100);
  const seen = latest<Seen>();
  render(
    <DialogueProvider client={client}>
      <Log see={seen.see} pageSize={100} />
    </DialogueProvider>,
  );
  await saying;
  await say(bob, 100, 101);
  await expect.poll(() => texts(seen.get())).toEqual(numbers(0, 101));
  expect(room.subscriptions).toEqual(["message"]);
});

test("a page that is asked for without a connection comes with the next one", async () => {
  const { url } = await startPersistence();
  const bob = await joined(url);
  await say(bob, 0, 30);
  const proxy = await proxyOf(url);
  const seen = latest<Seen>();
  const client = clientOf<Persistence>(proxy.url);
  render(
    <DialogueProvider client={client}>
      <Log see={seen.see} pageSize={20} />
    </DialogueProvider>,
  );
  await expect.poll(() => texts(seen.get())).toEqual(numbers(10, 30));
  proxy.refuse();
  await expect.poll(() => client.state).toBe("connecting");
  seen.get()!.loadMore();
  await expect.poll(() => seen.get()).toMatchObject({ loading: true, error: { code: "DISCONNECTED" } });
  proxy.admit();
  await expect.poll(() => texts(seen.get())).toEqual(numbers(0, 30));
  expect(seen.get()).toMatchObject({ hasMore: false, loading: false, error: undefined });
});

test("where the server has begun another log, so does the history", async () => {
  server = await ExampleServer.start("chat");
  const { url } = server;
  const bob = await joined(url);
  await bob.trigger("message", { text: "Before" } as never);
  const seen = latest<Seen>();
  const client = clientOf<Persistence>(url);
  render(
    <DialogueProvider client={client}>
      <Log see={seen.see} />
    </DialogueProvider>,
  );
  await expect.poll(() => texts(seen.get())).toEqual(["Before"]);
  await server.kill();
  await server.restart();
  await expect.poll(() => client.connected).toBe(true);
  await bob.trigger("message", { text: "After" } as never);
  await expect.poll(() => texts(seen.get())).toEqual(["After"]);
  // The event may come before the page that has it, too.
  await expect.poll(() => seen.get()).toMatchObject({ hasMore: false, loading: false, error: undefined });
  expect(texts(seen.get())).toEqual(["After"]);
});
