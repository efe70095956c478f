// Whether the servers do what the benchmark takes for granted.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Client } from "./support/client.js";
import { BUN, NODE, Peer } from "./support/peer.js";

/**
 * Runs a server for the tests of a suite.
 *
 * @param {string} runtime
 * @param {string} script
 * @returns what connects a client to it
 */
function serve(runtime, script) {
  /** @type {Peer} */
  let peer;
  /** @type {Client[]} */
  let clients = [];

  before(async () => {
    peer = await Peer.start(runtime, script);
  });
  afterEach(() => {
    for (const client of clients) client.close();
    clients = [];
  });
  after(async () => {
    const { signal, lines } = await peer.stop();
    assert.equal(signal, "SIGTERM");
    assert.equal(lines.length, 1);
  });

  return async (/** @type {string} */ userId) => {
    const client = await Client.connect(peer.url, userId);
    clients.push(client);
    return client;
  };
}

/**
 * @param {string} roomId
 * @param {string} event
 * @param {string} text
 */
function trigger(roomId, event, text) {
  return { roomId, event, data: { at: 1, text } };
}

/**
 * What members are told of a trigger, apart from when it was.
 *
 * @param {Client} client
 */
async function heard(client) {
  const { timestamp, ...message } = await client.take("dialogue:event");
  assert.ok(Math.abs(Date.now() - timestamp) < 60_000);
  return message;
}

describe("plain Socket.IO on Node", () => {
  const connect = serve(NODE, "socketio.js");

  test("a trigger reaches every member, the sender included", async () => {
    const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
    for (const client of [ann, bob]) {
      assert.deepEqual(await client.ask("dialogue:join", { roomId: "room:0" }), { ok: true, roomId: "room:0" });
    }
    const sent = trigger("room:0", "tick", "x".repeat(8_192));
    ann.tell("dialogue:trigger", sent);
    for (const client of [ann, bob]) assert.deepEqual(await heard(client), { ...sent, from: ann.id });
  });
});

for (const [name, runtime] of /** @type {const} */ ([["Node", NODE], ["Bun", BUN]])) {
  describe(`the reference on ${name}`, () => {
    const connect = serve(runtime, "reference.js");

    test("a client is told who it is", async () => {
      const ann = await connect("ann");
      assert.deepEqual(await ann.take("dialogue:connected"), { clientId: ann.id, userId: "ann" });
    });

    test("a join is answered with the room, and then acknowledged", async () => {
      const ann = await connect("ann");
      assert.deepEqual(await ann.ask("dialogue:join", { roomId: "room:1099" }), { ok: true, roomId: "room:1099" });
      assert.deepEqual(ann.received, ["dialogue:connected", "dialogue:joined"]);
      assert.deepEqual(await ann.take("dialogue:joined"), { roomId: "room:1099", roomName: "Room 1099" });
    });

    test("a trigger reaches every member, the sender included", async () => {
      const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
      for (const client of [ann, bob]) await client.ask("dialogue:join", { roomId: "room:0" });
      const sent = trigger("room:0", "tick", "x".repeat(8_192));
      ann.tell("dialogue:trigger", sent);
      for (const client of [ann, bob]) assert.deepEqual(await heard(client), { ...sent, from: "ann" });
    });

    test("only what its schema names is passed on", async () => {
      const ann = await connect("ann");
      await ann.ask("dialogue:join", { roomId: "room:0" });
      const sent = trigger("room:0", "tick", "hello");
      ann.tell("dialogue:trigger", { ...sent, data: { ...sent.data, colour: "red" } });
      assert.deepEqual(await heard(ann), { ...sent, from: "ann" });
    });

    test("who joins is sent the latest 50, newest first, and may ask for 100", async () => {
      const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
      const roomId = "room:1";
      await ann.ask("dialogue:join", { roomId });
      ann.tell("dialogue:trigger", trigger(roomId, "tick", "not kept"));
      for (let text = 1; text <= 101; text++) ann.tell("dialogue:trigger", trigger(roomId, "message", `${text}`));

      // Answered after all that ann sent before.
      const page = { roomId, eventName: "message", start: 50, end: 200 };
      assert.deepEqual(texts(await ann.ask("dialogue:getHistory", page)), countdown(51, 2));
      assert.deepEqual(texts(await ann.ask("dialogue:getHistory", { ...page, start: 0, end: 2 })), countdown(101, 100));
      assert.deepEqual(texts(await ann.ask("dialogue:getHistory", { ...page, eventName: "tick" })), []);

      await bob.ask("dialogue:join", { roomId });
      assert.deepEqual(bob.received, ["dialogue:connected", "dialogue:joined", "dialogue:history"]);
      const history = await bob.take("dialogue:history");
      assert.equal(history.roomId, roomId);
      assert.deepEqual(texts(history), countdown(101, 52));
      const { timestamp, ...latest } = history.events[0];
      assert.equal(typeof timestamp, "number");
      assert.deepEqual(latest, { ...trigger(roomId, "message", "101"), from: "ann" });
    });

    test("what is refused is told as an error, and reaches nobody", async () => {
      const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
      const roomId = "room:2";
      for (const client of [ann, bob]) await client.ask("dialogue:join", { roomId });
      const valid = trigger(roomId, "tick", "hello");
      for (const [sent, code] of /** @type {const} */ ([
        [trigger(roomId, "tick", ""), "VALIDATION_FAILED"],
        [{ ...valid, data: { at: -1, text: "hello" } }, "VALIDATION_FAILED"],
        [{ ...valid, event: "unknown" }, "EVENT_NOT_ALLOWED"],
        [{ ...valid, roomId: "room:3" }, "NOT_IN_ROOM"],
        [{ ...valid, roomId: "room:1100" }, "ROOM_NOT_FOUND"],
        [{}, "INVALID_REQUEST"],
      ])) {
        ann.tell("dialogue:trigger", sent);
        const error = await ann.take("dialogue:error");
        assert.equal(error.code, code);
        assert.equal(typeof error.message, "string");
      }
      ann.tell("dialogue:trigger", valid);
      assert.deepEqual(await heard(bob), { ...valid, from: "ann" });
    });

    test("who left is no member any more", async () => {
      const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
      const roomId = "room:4";
      for (const client of [ann, bob]) await client.ask("dialogue:join", { roomId });
      await bob.ask("dialogue:leave", { roomId });
      assert.deepEqual(await bob.take("dialogue:left"), { roomId });
      bob.tell("dialogue:trigger", trigger(roomId, "tick", "hello"));
      assert.equal((await bob.take("dialogue:error")).code, "NOT_IN_ROOM");
      ann.tell("dialogue:trigger", trigger(roomId, "tick", "bye"));
      assert.equal((await heard(ann)).data.text, "bye");
      assert.equal((await bob.ask("dialogue:join", { roomId: "nowhere" })).code, "ROOM_NOT_FOUND");
      assert.ok(!bob.received.includes("dialogue:event"));
    });
  });
}

/** @param {{ events: import("./reference/events.js").EventMessage[] }} history */
function texts({ events }) {
  return events.map(({ data }) => /** @type {{ text: string }} */ (data).text);
}

/**
 * @param {number} first
 * @param {number} last
 */
function countdown(first, last) {
  return Array.from({ length: first - last + 1 }, (_, index) => `${first - index}`);
}
