import { expect, test } from "vitest";
import type { EventMessage } from "../src/index.js";
import { Inbox } from "../src/inbox.js";

function stored(seq: number, epoch = "a"): EventMessage {
  return { event: "message", roomId: "general", data: seq, from: "ann", timestamp: 0, epoch, seq };
}

function ephemeral(data: string): EventMessage {
  return { event: "typing", roomId: "general", data, from: "ann", timestamp: 0 };
}

function inbox() {
  const delivered: unknown[] = [];
  return { delivered, inbox: new Inbox((message) => delivered.push(message.data)) };
}

const macrotask = () => new Promise((resolve) => setTimeout(resolve));

test("events go straight through", () => {
  const { inbox: box, delivered } = inbox();
  box.push(stored(1));
  expect(delivered).toEqual([1]);
});

test("held events come in order, in the macrotask after it opens, and later ones behind them", async () => {
  const { inbox: box, delivered } = inbox();
  box.hold();
  box.push(stored(1));
  box.push(ephemeral("a"));
  box.open([]);
  box.push(stored(2));
  for (let hop = 0; hop < 100; hop++) await Promise.resolve();
  expect(delivered).toEqual([]);
  await macrotask();
  box.push(stored(3));
  expect(delivered).toEqual([1, "a", 2, 3]);
});

test("a held event that is known already is dropped; one of another epoch, or without a place, is not", async () => {
  const { inbox: box, delivered } = inbox();
  box.hold();
  box.push(stored(1));
  box.push(stored(2));
  box.push(stored(1, "b"));
  box.push(ephemeral("a"));
  box.open([stored(1), ephemeral("a")]);
  await macrotask();
  expect(delivered).toEqual([2, 1, "a"]);
});

test("events without a place in the log are told apart by their ids", async () => {
  const { inbox: box, delivered } = inbox();
  box.hold();
  box.push({ ...ephemeral("a"), id: "1" });
  box.push({ ...ephemeral("b"), id: "2" });
  box.open([{ ...ephemeral("a"), id: "1" }]);
  await macrotask();
  expect(delivered).toEqual(["b"]);
});

test("holding again before it has opened keeps what is held", async () => {
  const { inbox: box, delivered } = inbox();
  box.hold();
  box.push(stored(1));
  box.open([]);
  box.hold();
  await macrotask();
  expect(delivered).toEqual([]);
  box.open([]);
  await macrotask();
  expect(delivered).toEqual([1]);
});

test("what is discarded never comes", async () => {
  const { inbox: box, delivered } = inbox();
  box.hold();
  box.push(stored(1));
  box.open([]);
  box.discard();
  await macrotask();
  expect(delivered).toEqual([]);
});
