import { describe, expect, test } from "vitest";
import type { EventMessage } from "../src/event-message.js";
import { Feed } from "../src/feed.js";

/** A stored event: `a3` is of the name `a` and has the third place in the log. */
function stored(id: string, prev: number): EventMessage {
  const [event, seq] = [id.slice(0, 1), Number(id.slice(1))];
  return { event, roomId: "r", data: null, from: "ann", timestamp: 0, epoch: "e", seq, prev };
}

const LOG = [stored("a1", 0), stored("a2", 1), stored("b3", 0), stored("a4", 2)];

function feed() {
  const delivered: string[] = [];
  const asked: number[] = [];
  const feed = new Feed({
    fetch: async (after) => {
      asked.push(after);
      return { events: LOG.filter(({ seq }) => seq! > after), complete: true, epoch: "e", seq: 4 };
    },
    deliver: ({ event, seq }) => delivered.push(`${event}${seq}`),
    lose: () => delivered.push("lost"),
  });
  feed.begin({ epoch: "e", seq: 0 });
  return { feed, delivered, asked };
}

describe("gap-name: an event is missing, and one of another name comes before that is noticed", () => {
  test("what is missing is fetched, and the other is not handed over twice", async () => {
    const { feed: room, delivered, asked } = feed();
    for (const message of [LOG[0]!, LOG[2]!, LOG[3]!]) room.push(message);
    expect(room.since).toEqual({ epoch: "e", seq: 1 });
    await new Promise((resolve) => setTimeout(resolve));
    expect(asked).toEqual([1]);
    expect(delivered).toEqual(["a1", "b3", "a2", "a4"]);
    expect(room.since).toEqual({ epoch: "e", seq: 4 });
  });

  test("of a name that was subscribed to later, nothing before that is missing", async () => {
    const { feed: room, delivered, asked } = feed();
    room.push(stored("b3", 0));
    room.widen();
    room.push(LOG[3]!);
    await new Promise((resolve) => setTimeout(resolve));
    expect([asked, delivered]).toEqual([[], ["b3", "a4"]]);
  });

  test("and neither does a join that comes first, with what was missed", () => {
    const { feed: room, delivered } = feed();
    for (const message of [LOG[0]!, LOG[2]!, LOG[3]!]) room.push(message);
    room.hold();
    room.resume(LOG.slice(1), { epoch: "e", seq: 4 });
    room.release();
    expect(delivered).toEqual(["a1", "b3", "a2", "a4"]);
  });
});
