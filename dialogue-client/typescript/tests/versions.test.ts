/** What a deployment costs the clients: `chat` and `persistence` stand for two versions of one server, whose room lists other events. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient, type DialogueError, type EventMessage, type Room } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";
import { HostileServer } from "./support/hostile-server.js";
import { next } from "./support/next.js";
import { Proxy } from "./support/proxy.js";

/** Its room lists `message` and `typing`, and `user:joined` and `user:left` of the server; joiners receive all but `typing`. */
let large: ExampleServer;
/** Its room lists `message`. */
let small: ExampleServer;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-"));
  large = await ExampleServer.start("chat");
  small = await ExampleServer.start("persistence", { DATABASE_URL: `sqlite:${folder}/chat.db` });
});
afterEach(async () => {
  await Promise.all([large.kill(), small.kill()]);
  await rm(folder, { recursive: true });
});

function clientOf(url: string, userId: string): { client: DialogueClient; errors: unknown[] } {
  const client = createDialogueClient({
    url,
    auth: { userId },
    transports: ["websocket"],
    reconnectionDelayMs: 20,
    reconnectionDelayMaxMs: 50,
  });
  const errors: unknown[] = [];
  client.onError(({ code, roomId, event }: DialogueError) => errors.push([code, roomId, event]));
  onTestFinished(() => client.disconnect());
  return { client, errors };
}

/** A client of one version, and how to deploy another. */
async function page(before: ExampleServer) {
  const proxy = await Proxy.start(before.url);
  onTestFinished(() => proxy.stop());
  const { client, errors } = clientOf(proxy.url, "ann");
  await client.connect();
  const deploy = async (after: ExampleServer) => {
    const back = next<void>((handler) => client.onConnect(() => handler()));
    proxy.leadTo(after.url);
    await back;
  };
  return { client, errors, deploy };
}

/** Has another client of a version say something, which the room's member hears. */
async function hears(room: Room, server: ExampleServer): Promise<void> {
  const heard = next<EventMessage>((handler) => room.on("message", handler));
  const { client } = clientOf(server.url, "bob");
  const other = await client.join("general", { subscribe: [] });
  await other.trigger("message", { text: "hello" });
  expect(await heard).toMatchObject({ from: "bob" });
}

test("resume-defaults: a room that was joined without names gets the defaults of the new version", async () => {
  const { client, errors, deploy } = await page(large);
  const room = await client.join("general");
  expect(room.subscriptions).toEqual(["message", "user:joined", "user:left"]);
  await deploy(small);
  expect([room.state, room.subscriptions]).toEqual(["joined", ["message"]]);
  await hears(room, small);
  expect(errors).toEqual([]);
});

test("resume-added: an event that the new version adds to the defaults is heard after the rejoin", async () => {
  const { client, deploy } = await page(small);
  const room = await client.join("general");
  const come = vi.fn();
  room.on("user:joined", ({ from }) => come(from));
  await deploy(large);
  await hears(room, large);
  expect(come.mock.calls).toContainEqual(["bob"]);
});

test("resume-unknown: an event that the new version lacks costs that event, and is reported once", async () => {
  const { client, errors, deploy } = await page(large);
  const room = await client.join("general", { subscribe: ["message", "typing"] });
  await deploy(small);
  expect([room.state, room.subscriptions]).toEqual(["joined", ["message"]]);
  await hears(room, small);
  expect(errors).toEqual([["EVENT_NOT_ALLOWED", "general", "typing"]]);
  // The version that has it is asked for it again.
  await deploy(large);
  expect(room.subscriptions).toEqual(["message", "typing"]);
  expect(errors).toHaveLength(1);
});

test("subscription_beside_the_defaults_is_joined_again_with_the_defaults_of_the_new_version", async () => {
  const { client, errors, deploy } = await page(large);
  const room = await client.join("general");
  await room.subscribe("typing");
  await deploy(small);
  expect([room.state, room.subscriptions]).toEqual(["joined", ["message"]]);
  expect(errors).toEqual([["EVENT_NOT_ALLOWED", "general", "typing"]]);
  await deploy(large);
  expect([...room.subscriptions].sort()).toEqual(["message", "typing", "user:joined", "user:left"]);
});

test("unsubscribed_default_is_not_subscribed_to_again", async () => {
  const { client, deploy } = await page(large);
  const room = await client.join("general");
  await room.unsubscribe("user:left");
  await deploy(large);
  expect(room.subscriptions).toEqual(["message", "user:joined"]);
});

test("resume-returned: an event that one version lacks is heard with the next, although another was unsubscribed from meanwhile", async () => {
  const { client, errors, deploy } = await page(large);
  const room = await client.join("general", { subscribe: ["message", "typing", "user:left"] });
  await deploy(small);
  await room.unsubscribe("message");
  expect(room.subscriptions).toEqual([]);
  await deploy(large);
  expect([...room.subscriptions].sort()).toEqual(["typing", "user:left"]);
  expect(errors).toEqual([
    ["EVENT_NOT_ALLOWED", "general", "typing"],
    ["EVENT_NOT_ALLOWED", "general", "user:left"],
  ]);
  // One that the room has is not asked for any more.
  await room.unsubscribe("typing");
  await deploy(small);
  await deploy(large);
  expect(room.subscriptions).toEqual(["user:left"]);
});

test("unsubscription_keeps_the_names_of_events_that_the_room_lacks", async () => {
  const server = await HostileServer.start();
  const client = createDialogueClient({ url: server.url, reconnectionDelayMs: 20 });
  onTestFinished(() => client.disconnect());
  client.onError(() => {});
  await client.connect();
  // An answer lists up to 100 unknown events.
  const answer = server.answer("dialogue:join", { roomId: "hall" });
  server.answers.set("dialogue:join", [{ ...answer, subscriptions: ["stored"] }]);
  server.answers.set("dialogue:unsubscribe", [{ ...server.answer("dialogue:unsubscribe"), subscriptions: [] }]);
  const room = await client.join("hall", { subscribe: ["stored", "later"] });
  await room.unsubscribe("stored");
  const back = next<void>((handler) => client.onConnect(() => handler()));
  server.drop();
  await back;
  expect(server.joins.at(-1)).toMatchObject({ subscribe: ["later"] });
});

test("subscription_to_all_events_has_those_of_the_new_version", async () => {
  const { client, deploy } = await page(small);
  const all = await client.join("general");
  await all.subscribeAll();
  await deploy(large);
  expect([...all.subscriptions].sort()).toEqual(["message", "typing", "user:joined", "user:left"]);
  await all.leave();
  const joined = await client.join("general", { subscribe: ["*"] });
  await deploy(small);
  expect(joined.subscriptions).toEqual(["message"]);
  await deploy(large);
  expect([...joined.subscriptions].sort()).toEqual(["message", "typing", "user:joined", "user:left"]);
});

test("join_that_names_only_unknown_events_gives_the_room_and_reports_each", async () => {
  const { client, errors } = await page(small);
  const room = await client.join("general", { subscribe: ["nothing", "nowhere"] });
  expect([room.state, room.subscriptions]).toEqual(["joined", []]);
  expect(errors).toEqual([
    ["EVENT_NOT_ALLOWED", "general", "nothing"],
    ["EVENT_NOT_ALLOWED", "general", "nowhere"],
  ]);
});

test("subscription_to_an_unknown_event_alone_is_rejected_and_reported", async () => {
  const { client, errors } = await page(small);
  const room = await client.join("general");
  await expect(room.subscribe("nothing")).rejects.toMatchObject({ code: "EVENT_NOT_ALLOWED", event: "nothing" });
  expect(errors).toEqual([["EVENT_NOT_ALLOWED", "general", "nothing"]]);
});

test("join_that_is_refused_for_an_event_that_it_names_is_not_asked_again", async () => {
  const server = await HostileServer.start();
  const { client } = clientOf(server.url, "ann");
  await client.connect();
  server.answers.set("dialogue:join", [{ ok: false, code: "EVENT_NOT_ALLOWED", message: "no", event: "stored" }]);
  await expect(client.join("hall", { subscribe: ["stored"] })).rejects.toMatchObject({ code: "EVENT_NOT_ALLOWED" });
  expect(server.joins).toHaveLength(1);
});
