import { describe, expect, test } from "vitest";
import type { EventMessage } from "../src/event-message.js";
import { Feed } from "../src/feed.js";

/** A stored event: `a3` is of the name `a` and has the third place in the log. */
function stored(id: string, prev: number): EventMessage {
  const [event, seq] = [id.slice(0, 1), Number(id.slice(1))];
  return { event, roomId: "r", data: null, from: "ann", timestamp: 0, epoch: "e", seq, prev };
}

const LOG = [stored("a1", 0), stored("a2", 1), stored("b3", 0), stored("a4", 2)];

/** Lets what is fetched arrive. */
const settled = () => new Promise((resolve) => setTimeout(resolve));

function feed(log: readonly EventMessage[] = LOG, names = ["a", "b"]) {
  const delivered: string[] = [];
  const asked: number[] = [];
  const feed = new Feed({
    fetch: async (after) => {
      asked.push(after);
      return { events: log.filter(({ seq }) => seq! > after), complete: true, epoch: "e", seq: log.at(-1)!.seq! };
    },
    deliver: ({ event, seq }) => delivered.push(`${event}${seq}`),
    lose: () => delivered.push("lost"),
  });
  feed.begin({ epoch: "e", seq: 0 }, names);
  return { feed, delivered, asked };
}

describe("gap-name: an event is missing, and one of another name comes before that is noticed", () => {
  test("what is missing is fetched, and the other is not handed over twice", async () => {
    const { feed: room, delivered, asked } = feed();
    for (const message of [LOG[0]!, LOG[2]!, LOG[3]!]) room.push(message);
    expect(room.since).toEqual({ epoch: "e", seq: 1 });
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2", "a4"]);
    expect(room.since).toEqual({ epoch: "e", seq: 4 });
  });

  test("and neither does a join that comes first, with what was missed", () => {
    const { feed: room, delivered } = feed();
    for (const message of [LOG[0]!, LOG[2]!, LOG[3]!]) room.push(message);
    room.hold();
    room.resume(LOG.slice(1), { epoch: "e", seq: 4, last: { a: 4, b: 3 } }, ["a", "b"]);
    room.release();
    expect(delivered).toEqual(["a1", "b3", "a2", "a4"]);
  });

  test("what is fetched from after it does not hide it", async () => {
    const { feed: room, delivered, asked } = feed([...LOG, stored("b5", 3), stored("b6", 5), stored("a7", 4)]);
    for (const message of [LOG[0]!, LOG[2]!, stored("b6", 5)]) room.push(message);
    await settled();
    // `a2` is missing, which `a4` tells in the page from 3 on.
    expect(asked).toEqual([3, 1]);
    expect(delivered).toEqual(["a1", "b3", "a2", "a4", "b5", "b6", "a7"]);
  });

  test("a join that shows it has it fetched before what came meanwhile", async () => {
    const { feed: room, delivered, asked } = feed([...LOG, stored("b5", 3), stored("c6", 0)], ["a", "b", "c"]);
    for (const message of [LOG[0]!, LOG[2]!]) room.push(message);
    room.hold();
    room.push(stored("c6", 0));
    room.resume([LOG[3]!, stored("b5", 3)], { epoch: "e", seq: 5, last: { a: 4, b: 5 } }, ["a", "b", "c"]);
    room.release();
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2", "a4", "b5", "c6"]);
  });

  test("a join that shows it has it fetched", async () => {
    const { feed: room, delivered, asked } = feed();
    for (const message of [LOG[0]!, LOG[2]!]) room.push(message);
    room.hold();
    expect(room.since).toEqual({ epoch: "e", seq: 3 });
    room.resume(LOG.slice(3), { epoch: "e", seq: 4, last: { a: 4, b: 3 } }, ["a", "b"]);
    room.release();
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2", "a4"]);
  });
});

describe("gap-position-names: an event is missing that none of its name follows", () => {
  test("where the log ends by names tells, and it is fetched", async () => {
    const { feed: room, delivered, asked } = feed(LOG.slice(0, 3));
    for (const message of [LOG[0]!, LOG[2]!]) room.push(message);
    room.heardOf({ epoch: "e", seq: 3, last: { a: 2, b: 3 } });
    await settled();
    room.heardOf({ epoch: "e", seq: 3, last: { a: 2, b: 3 } });
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2"]);
  });

  test("while a range is fetched, it is looked at afterwards", async () => {
    const { feed: room, delivered, asked } = feed();
    room.push(LOG[1]!);
    room.heardOf({ epoch: "e", seq: 4, last: { a: 4, b: 3 } });
    await settled();
    expect(asked).toEqual([0]);
    expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
  });
});

describe("resume-lost-before: an event was lost before the place that a join names", () => {
  test("the join tells by the last of its name, and it is fetched", async () => {
    const { feed: room, delivered, asked } = feed(LOG.slice(0, 3));
    for (const message of [LOG[0]!, LOG[2]!]) room.push(message);
    room.hold();
    room.resume([], { epoch: "e", seq: 3, last: { a: 2, b: 3 } }, ["a", "b"]);
    room.release();
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2"]);
    expect(room.since).toEqual({ epoch: "e", seq: 3 });
  });
});

describe("resume-nothing: a room that stores nothing has another log by now", () => {
  test("nothing is fetched, and it goes on there", async () => {
    const { feed: room, delivered, asked } = feed([], []);
    room.hold();
    room.resume([], { epoch: "f", seq: 0, last: {} }, []);
    room.release();
    await settled();
    expect([delivered, asked, room.since]).toEqual([[], [], { epoch: "f", seq: 0 }]);
  });
});

describe("subscribe-later: a name is subscribed to while events of others come", () => {
  test("what it had before is not missing, and does not hide what another name lacks", async () => {
    const { feed: room, delivered, asked } = feed([...LOG, stored("b6", 3), stored("a7", 4)], ["a"]);
    room.push(LOG[0]!);
    room.follow(["b"], 5);
    room.push(stored("b6", 3));
    room.push(stored("a7", 4));
    await settled();
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b6", "a2", "a4", "a7"]);
  });

  test("an event that comes before that is known is no gap, and neither is the next", async () => {
    const { feed: room, delivered, asked } = feed([], ["a"]);
    room.push(stored("b6", 3));
    room.follow(["b"], 5);
    room.push(stored("b7", 6));
    await settled();
    expect([delivered, asked]).toEqual([["b6", "b7"], []]);
  });

  test("by a join, it lacks nothing from before it", () => {
    const { feed: room, delivered } = feed(LOG, ["a"]);
    for (const message of LOG.slice(0, 2)) room.push(message);
    room.hold();
    room.resume([stored("b3", 1), stored("a4", 2)], { epoch: "e", seq: 4, last: { a: 4, b: 3 } }, ["a", "b"]);
    room.release();
    expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
  });
});

describe("reset-gone-back: the log ends before what was seen, in the same epoch", () => {
  /** Has seen four events of a log that has three now. */
  function gone() {
    const all = feed(LOG.slice(0, 3));
    all.feed.begin({ epoch: "e", seq: 4 }, ["a", "b"]);
    return all;
  }

  test("a position that says so resets", async () => {
    const { feed: room, delivered } = gone();
    room.heardOf({ epoch: "e", seq: 3, last: { a: 2, b: 3 } });
    await settled();
    expect(delivered).toEqual(["lost"]);
  });

  test("a page that says so resets", async () => {
    const { feed: room, delivered } = gone();
    room.push(stored("a6", 5));
    await settled();
    expect(delivered).toEqual(["lost"]);
  });

  test("a position from before a page does not", async () => {
    const { feed: room, delivered } = feed();
    room.push(LOG[1]!);
    room.heardOf({ epoch: "e", seq: 2, last: { a: 2 } });
    await settled();
    expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
  });
});
