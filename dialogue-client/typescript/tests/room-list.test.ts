/** What `listRooms` makes of the pages of the list, from a server that says what the test says. */
import { expect, onTestFinished, test } from "vitest";
import { createDialogueClient, type DialogueClient, type RoomInfo } from "../src/index.js";
import { HostileServer } from "./support/hostile-server.js";
import { next } from "./support/next.js";

/** A connected client, and its server, whose next pages are these. */
async function start(pages: unknown[]): Promise<{ server: HostileServer; client: DialogueClient }> {
  const server = await HostileServer.start();
  server.answers.set("dialogue:listRooms", pages);
  const client = createDialogueClient({ url: server.url, transports: ["websocket"], reconnectionDelayMs: 1, reconnectionDelayMaxMs: 1 });
  client.onError(() => {});
  onTestFinished(() => client.disconnect());
  await client.connect();
  return { server, client };
}

function page(ids: string[], next?: string, size = 1): unknown {
  return { ok: true, rooms: ids.map((id) => ({ id, name: id, size })), next };
}

function ids(rooms: RoomInfo[]): string[] {
  return rooms.map(({ id }) => id);
}

test("list_of_three_pages_one_of_them_empty_is_whole", async () => {
  const { server, client } = await start([page(["a", "b"], "2"), page([], "1002"), page(["c"])]);
  expect(ids(await client.listRooms())).toEqual(["a", "b", "c"]);
  expect(server.lists).toEqual([{}, { after: "2" }, { after: "1002" }]);
});

test("list_with_a_room_that_is_created_again_between_pages_has_it_once", async () => {
  const { client } = await start([page(["a", "b"], "2"), page(["c", "a"], undefined, 7)]);
  const rooms = await client.listRooms();
  expect(ids(rooms)).toEqual(["a", "b", "c"]);
  expect(rooms[0]!.size).toBe(7);
});

test("list_whose_next_repeats_is_an_error", async () => {
  const { server, client } = await start([page(["a"], "1"), page(["b"], "1"), page(["c"], "1")]);
  await expect(client.listRooms()).rejects.toMatchObject({ code: "INTERNAL", cause: { next: "1" } });
  expect(server.lists).toEqual([{}, { after: "1" }]);
  server.answers.clear();
  expect(ids(await client.listRooms())).toEqual(["den"]);
});

test.each([7, null, {}, ["1"]])("list_whose_next_is_no_text_is_an_error: %j", async (wrong) => {
  const { server, client } = await start([{ ok: true, rooms: [], next: wrong }, page(["a"])]);
  await expect(client.listRooms()).rejects.toMatchObject({ code: "INTERNAL" });
  expect(server.lists).toEqual([{}]);
});

test("list_of_a_thousand_pages_is_whole_and_with_more_an_error", async () => {
  const pages = Array.from({ length: 1_000 }, (_, n) => page([`room ${n}`], n < 999 ? `${n}` : undefined));
  const { server, client } = await start(pages);
  expect(await client.listRooms()).toHaveLength(1_000);
  // No page says the same as the one before it.
  server.answers.set("dialogue:listRooms", Array.from({ length: 1_100 }, (_, n) => page([], n % 2 ? "odd" : "even")));
  server.lists.length = 0;
  await expect(client.listRooms()).rejects.toMatchObject({ code: "INTERNAL" });
  expect(server.lists).toHaveLength(1_000);
});

test("list_whose_second_page_is_refused_is_that_refusal", async () => {
  const refusal = { ok: false, code: "RATE_LIMITED", message: "too many requests", retryAfterMs: 5 };
  const { server, client } = await start([page(["a"], "1"), refusal]);
  await expect(client.listRooms()).rejects.toMatchObject({ code: "RATE_LIMITED", retryAfterMs: 5 });
  expect(server.lists).toEqual([{}, { after: "1" }]);
});

test("list_whose_connection_is_lost_between_pages_ends_and_does_not_go_on_with_the_next_one", async () => {
  const { server, client } = await start([page(["a"], "1"), () => server.drop()]);
  const again = next<void>((handler) => client.onConnect(() => handler()));
  await expect(client.listRooms()).rejects.toMatchObject({ code: "DISCONNECTED" });
  await again;
  expect(ids(await client.listRooms())).toEqual(["den"]);
  expect(server.lists).toEqual([{}, { after: "1" }, {}, { after: "1" }]);
});
