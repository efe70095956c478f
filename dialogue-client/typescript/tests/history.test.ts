import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type Room } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";

let server: ExampleServer;
let client: DialogueClient;
let room: Room;

beforeAll(async () => {
  server = await ExampleServer.start("chat");
  client = createDialogueClient({ url: server.url });
  await client.connect();
  room = await client.join("general");
  for (let number = 1; number <= 10; number++) await room.trigger("message", { text: `${number}` });
});
afterAll(async () => {
  client.disconnect();
  await server.kill();
});

const seqs = (events: readonly { readonly seq?: number }[]) => events.map(({ seq }) => seq);

test("history is read back from an event, newest first, and says when there is no more", async () => {
  const first = await room.getHistory("message", { before: 8, limit: 4 });
  expect(seqs(first.events)).toEqual([7, 6, 5, 4]);
  expect(first).toMatchObject({ complete: false, seq: 10 });
  const second = await room.getHistory("message", { before: 4, limit: 4 });
  expect(seqs(second.events)).toEqual([3, 2, 1]);
  expect(second).toMatchObject({ complete: true, epoch: first.epoch });
});

test("history is read on from an event, oldest first", async () => {
  const page = await room.getHistory("message", { after: 7 });
  expect(seqs(page.events)).toEqual([8, 9, 10]);
  expect(page.complete).toBe(true);
});

test("history is counted from the newest event, as a list or as a page", async () => {
  expect(seqs(await room.getHistory("message", 1, 3))).toEqual([9, 8]);
  expect(seqs((await room.getHistory("message", { start: 1, end: 3 })).events)).toEqual([9, 8]);
});

test("a signal gives up reading", async () => {
  const aborted = new AbortController();
  const reading = room.getHistory("message", { before: 8, signal: aborted.signal });
  aborted.abort("enough");
  await expect(reading).rejects.toBe("enough");
});

test("`onHistory` is called with what a join brings, before it resolves", async () => {
  const other = createDialogueClient({ url: server.url });
  await other.connect();
  const brought = vi.fn();
  other.onHistory(brought);
  const joined = await other.join("general");
  expect(brought).toHaveBeenCalledExactlyOnceWith("general", joined.history);
  expect(seqs(joined.history)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  other.disconnect();
});
