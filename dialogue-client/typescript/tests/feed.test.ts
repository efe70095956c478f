import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ErrorChannel } from "../src/error-channel.js";
import type { EventMessage } from "../src/event-message.js";
import { Feed } from "../src/feed.js";
import { createDialogueClient, DialogueError } from "../src/index.js";
import { JoinedRoom } from "../src/joined-room.js";
import { HostileServer } from "./support/hostile-server.js";
import { next } from "./support/next.js";

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

test("join_that_brings_a_part_has_the_rest_fetched_from_there", async () => {
  const { feed: room, delivered, asked } = feed();
  room.push(LOG[0]!);
  room.hold();
  room.resume([LOG[1]!], { epoch: "e", seq: 4, last: { a: 4, b: 3 } }, ["a", "b"], true);
  room.release();
  await settled();
  expect(asked).toEqual([2]);
  expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
});

test("recovered_join_that_adds_a_name_has_its_missed_events_fetched", async () => {
  const log = [stored("a1", 0), stored("b2", 0), stored("b3", 2), stored("b4", 3)];
  const { feed: room, delivered, asked } = feed(log, ["a"]);
  room.push(log[0]!);
  room.hold();
  room.resume([], { epoch: "e", seq: 1, last: { a: 1 } }, ["a", "b"]);
  room.release();
  // It was set aside meanwhile.
  room.push(log[3]!);
  await settled();
  expect(asked).toEqual([1]);
  expect(delivered).toEqual(["a1", "b2", "b3", "b4"]);
});

test("pages_that_come_too_late_are_asked_for_with_more_time_and_fewer_events", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const asked: unknown[] = [];
  const room = new Feed({
    fetch: async (after, limit, times) => {
      asked.push([after, limit, times]);
      if (asked.length < 5) throw new DialogueError("TIMEOUT", "late");
      return { events: LOG.slice(1), complete: true, epoch: "e", seq: 4 };
    },
    deliver: () => {},
    lose: () => {},
  });
  room.begin({ epoch: "e", seq: 1 }, ["a", "b"]);
  room.push(LOG[3]!);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toEqual([[1, 100, 1], [1, 25, 2], [1, 7, 4], [1, 2, 8], [1, 2, 8]]);
  room.push(stored("a6", 5));
  // Such a page does not end where it should: the place is lost after a pause.
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked.slice(5)).toEqual([[4, 100, 1]]);
});

test("page_that_is_refused_loses_the_place_after_a_pause", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let lost = 0;
  const room = new Feed({
    fetch: () => Promise.reject(new DialogueError("INTERNAL", "broken")),
    deliver: () => {},
    lose: () => void lost++,
  });
  room.begin({ epoch: "e", seq: 1 }, ["a", "b"]);
  room.push(LOG[3]!);
  await vi.advanceTimersByTimeAsync(200);
  expect(lost).toBe(0);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(lost).toBe(1);
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

describe("gap-none-kept: nothing is kept of a name of which events were missed", () => {
  test("a position tells, and it is lost", async () => {
    const { feed: room, delivered, asked } = feed([LOG[2]!]);
    room.heardOf({ epoch: "e", seq: 3, last: { a: 2, b: 3 } });
    await settled();
    expect(asked).toEqual([0]);
    expect(delivered).toEqual(["b3", "lost"]);
    // From where the join after it goes on.
    expect(room.since).toMatchObject({ epoch: "e", seq: 0 });
  });

  test("a position that comes during a fetch tells, and it is lost", async () => {
    const { feed: room, delivered } = feed([LOG[2]!, stored("b4", 3)]);
    room.push(stored("b4", 3));
    room.heardOf({ epoch: "e", seq: 4, last: { a: 2, b: 4 } });
    await settled();
    expect(delivered).toEqual(["b3", "b4", "lost"]);
  });

  test("an event that is held has gaps, too, and it is lost", async () => {
    const { feed: room, delivered } = feed([LOG[2]!, stored("b7", 3)]);
    room.push(stored("b7", 3));
    room.push(stored("a6", 5));
    await settled();
    expect(delivered).toEqual(["b3", "b7", "lost"]);
  });

  test("an event that is held is handed over, although it is kept no more", async () => {
    const { feed: room, delivered } = feed([LOG[2]!, stored("b7", 3)]);
    room.push(stored("b7", 3));
    room.push(stored("a6", 0));
    await settled();
    expect(delivered).toEqual(["b3", "b7", "a6"]);
  });

  test("a name that missed nothing is not lost", async () => {
    const { feed: room, delivered } = feed([LOG[2]!, stored("b7", 3)]);
    room.push(LOG[0]!);
    room.heardOf({ epoch: "e", seq: 7, last: { a: 1, b: 7 } });
    await settled();
    room.push(stored("a8", 1));
    expect(delivered).toEqual(["a1", "b3", "b7", "a8"]);
  });
});

describe("more events come during a fetch than are held, and the log drops them", () => {
  /** Holds 1,000 events of `a` and not these ones of other names, of which the log has nothing any more. */
  async function overflowing(...more: EventMessage[]) {
    const delivered: string[] = [];
    let asked = 0;
    const room = new Feed({
      fetch: async () => {
        // The first page is from before what comes during the fetch.
        if (++asked === 1) return { events: [stored("a1", 0)], complete: true, epoch: "e", seq: 2 };
        return { events: [], complete: true, epoch: "e", seq: 1_009 };
      },
      deliver: ({ event, seq }) => delivered.push(`${event}${seq}`),
      lose: () => delivered.push("lost"),
    });
    room.begin({ epoch: "e", seq: 0 }, ["a", "b", "c"]);
    for (let seq = 2; seq <= 1_001; seq++) room.push(stored(`a${seq}`, seq - 1));
    for (const message of more) room.push(message);
    await settled();
    expect(delivered.slice(0, 1_001)).toEqual(Array.from({ length: 1_001 }, (_, index) => `a${index + 1}`));
    return { delivered: delivered.slice(1_001), asked };
  }

  test("the last one of each name is handed over, although it is kept no more", async () => {
    const { delivered, asked } = await overflowing(stored("b1002", 0), stored("c1003", 0));
    expect(delivered).toEqual(["b1002", "c1003"]);
    expect(asked).toBe(2);
  });

  test("more of a name is lost where none is kept", async () => {
    const { delivered } = await overflowing(stored("b1002", 0), stored("b1003", 1_002), stored("c1004", 0));
    expect(delivered).toEqual(["lost"]);
  });

  test("an ephemeral one is not asked for", async () => {
    const { delivered, asked } = await overflowing({ event: "b", roomId: "r", data: null, from: "ann", timestamp: 0 });
    expect(delivered).toEqual([]);
    expect(asked).toBe(1);
  });

  test("one of another log is lost", async () => {
    const { delivered } = await overflowing({ ...stored("b1002", 0), epoch: "f" });
    expect(delivered).toEqual(["lost"]);
  });
});

describe("the log ends before where the server said that it does", () => {
  test.each([
    ["the same epoch", { epoch: "e", seq: 9, last: { a: 9, b: 3 } }],
    ["another epoch", { epoch: "f", seq: 9, last: { a: 9 } }],
  ])("in %s, it is lost after a pause, with one page asked for", async (_, end) => {
    const delivered: string[] = [];
    let asked = 0;
    const room = new Feed({
      fetch: async (after) => {
        asked++;
        await settled();
        return { events: LOG.filter(({ seq }) => seq! > after), complete: true, epoch: "e", seq: 4 };
      },
      deliver: ({ event, seq }) => delivered.push(`${event}${seq}`),
      lose: () => delivered.push("lost"),
    });
    room.begin({ epoch: "e", seq: 0 }, ["a", "b"]);
    room.heardOf(end);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
    await vi.waitFor(() => expect(delivered).toContain("lost"), 5_000);
    await settled();
    expect(asked).toBe(1);
  });

  test("what comes during the pause is held, and an end of the pause by a join is no loss", async () => {
    const { feed: room, delivered, asked } = feed();
    room.heardOf({ epoch: "e", seq: 5, last: { a: 4, b: 5 } });
    await settled();
    room.push(stored("a6", 4));
    expect(delivered).toEqual(["a1", "a2", "b3", "a4"]);
    room.hold();
    room.resume([stored("b5", 3), stored("a6", 4)], { epoch: "e", seq: 6, last: { a: 6, b: 5 } }, ["a", "b"]);
    room.release();
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(delivered).toEqual(["a1", "a2", "b3", "a4", "b5", "a6"]);
    expect(asked).toEqual([0]);
  });
});

describe("gap-too-many: more events are missing than are fetched in a row", () => {
  /** Misses as many events, which come in pages of 100; every tenth page is refused at first. */
  async function missing(count: number): Promise<unknown[]> {
    const log = Array.from({ length: count }, (_, index) => stored(`a${index + 1}`, index));
    const delivered: unknown[] = [];
    let asked = 0;
    const room = new Feed({
      fetch: async (after) => {
        if (++asked % 10 === 0) throw new DialogueError("RATE_LIMITED", "too often", { retryAfterMs: 1 });
        const events = log.slice(after, after + 100);
        return { events, complete: after + 100 >= count, epoch: "e", seq: count };
      },
      deliver: ({ seq }) => delivered.push(seq),
      lose: () => delivered.push("lost"),
    });
    room.begin({ epoch: "e", seq: 0 }, ["a"]);
    room.push(log.at(-1)!);
    await vi.waitFor(() => expect([count, "lost"]).toContain(delivered.at(-1)), { timeout: 5_000, interval: 5 });
    return delivered;
  }

  test("10,000 are fetched", async () => {
    const all = Array.from({ length: 10_000 }, (_, index) => index + 1);
    expect(await missing(10_000)).toEqual(all);
    expect(await missing(10_001)).toEqual([...all, "lost"]);
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

describe("gap-too-many: a room misses more events than are fetched in a row", () => {
  /** Misses so many events; returns the `seq` of what the room's handlers get, and "reset". */
  async function missing(count: number, recovers: boolean) {
    const server = await HostileServer.start();
    const ann = createDialogueClient({ url: server.url, transports: ["websocket"] });
    onTestFinished(() => ann.disconnect());
    const room = await ann.join("hall");
    const heard: unknown[] = [];
    room.on("stored", ({ seq }) => heard.push(seq));
    room.onReset(() => heard.push("reset"));
    const log = Array.from({ length: count }, () => server.message("hall", "stored", ""));
    const { epoch } = server.position("hall");
    const page = (at: number) => ({ ok: true, events: log.slice(100 * at, 100 * (at + 1)), complete: false, epoch, seq: count });
    server.answers.set("dialogue:getHistory", Array.from({ length: 100 }, (_, at) => page(at)));
    if (!recovers) {
      const answer = server.answer("dialogue:join", { roomId: "hall" });
      server.answers.set("dialogue:join", [{ ...answer, recovered: false, last: { stored: count } }]);
    }
    server.say("dialogue:event", log.at(-1));
    await vi.waitFor(() => expect([count, "reset"]).toContain(heard.at(-1)), { timeout: 10_000 });
    expect(server.joins.slice(1)).toMatchObject([{ since: { epoch, seq: 10_000 } }]);
    return { heard, room };
  }

  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

  test("it is joined again from the last one, and what the server replays is no reset", async () => {
    const { heard } = await missing(11_000, true);
    expect(heard).toEqual(upTo(11_000));
  });

  test("where the server does not replay the rest, it is reset", async () => {
    const { heard, room } = await missing(11_001, false);
    expect(heard).toEqual([...upTo(10_000), "reset"]);
    expect(room.history.map(({ seq }) => seq)).toEqual([11_001, 11_000]);
  });
});

test("room_that_was_joined_holds_no_answer_to_a_join", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const answers: WeakRef<object>[] = [];
  const request = async () => {
    const epoch = `${answers.length}`;
    const answer = { roomName: "", epoch, seq: 1, subscriptions: [], stored: ["a"], events: [], recovered: false };
    answers.push(new WeakRef(answer));
    return answer;
  };
  const room = new JoinedRoom("hall", undefined, { count: 1 }, {
    requester: { state: "connected", userId: "ann", maxMessageBytes: 1, request: request as never },
    errors: new ErrorChannel(),
    outbox: { size: 1, timeoutMs: 1 },
    broughtHistory: () => {},
    removed: () => {},
  });
  for (const join of [() => room.enter(), () => room.reenter()]) {
    await join();
    await settled();
    collect();
    expect(answers.at(-1)!.deref()).toBeUndefined();
  }
  expect(room.state).toBe("joined");
});

test("stream-reset: a reset ends no stream of a stored event of which nothing was missed", async () => {
  const server = await HostileServer.start();
  const ann = createDialogueClient({ url: server.url, transports: ["websocket"], reconnectionDelayMs: 20, reconnectionDelayMaxMs: 50 });
  onTestFinished(() => ann.disconnect());
  const names = { stored: ["stored", "other", "none"], subscriptions: ["stored", "other", "none"] };
  const joined = { ...server.answer("dialogue:join", { roomId: "hall" }), ...names, seq: 3 };
  server.answers.set("dialogue:join", [joined, { ...joined, seq: 4, recovered: false, last: { stored: 4, other: 3 } }]);
  const room = await ann.join("hall");
  const [missed, ...kept] = ["stored", "other", "none"].map((event) => room.events(event));
  const reset = next<void>((handler) => room.onReset(() => handler()));
  server.drop();
  await reset;
  await expect(missed!.next()).rejects.toMatchObject({ code: "MISSED", event: "stored" });
  for (const [event, seq, prev] of [["other", 5, 3], ["none", 6, 0]] as const) {
    const { epoch } = server.position("hall");
    server.say("dialogue:event", { ...server.message("hall", event, event), epoch, seq, prev });
    expect((await kept.shift()!.next()).value).toMatchObject({ event, seq });
  }
});
