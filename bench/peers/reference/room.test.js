import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEvent } from "./events.js";
import { HistoryManager } from "./history-manager.js";
import { Room } from "./room.js";

test("a room hands what is triggered to its handlers, after its members", () => {
  /** @type {string[]} */
  const calls = [];
  const io = { to: (/** @type {string} */ id) => ({ emit: () => calls.push(`members of ${id}`) }) };
  const config = { name: "Room", events: [defineEvent("tick"), defineEvent("tock")], syncHistoryOnJoin: 50 };
  const room = new Room(/** @type {any} */ (io), new HistoryManager(), "room", config);
  const off = room.on("tick", ({ data, from }) => calls.push(`${data} from ${from}`));
  room.trigger("tick", "first", "ann");
  room.trigger("tock", "second", "ann");
  off();
  room.trigger("tick", "third", "ann");
  assert.deepEqual(calls, ["members of room", "first from ann", "members of room", "members of room"]);
});
