import { expect, onTestFinished, test, vi } from "vitest";
import { Deferred } from "../src/deferred.js";
import { ErrorChannel } from "../src/error-channel.js";
import { DialogueError, type EventMessage } from "../src/index.js";
import type { Requester } from "../src/request.js";
import { Rooms } from "../src/rooms.js";

/** A server that answers when the test says so. */
function rooms() {
  const sent: { name: string; body: unknown; times: number | undefined; answer: Deferred<unknown> }[] = [];
  const requester: Requester = {
    state: "connected",
    userId: "ann",
    maxMessageBytes: Infinity,
    request: <Answer>(name: string, body?: object, times?: number) => {
      const answer = new Deferred<unknown>();
      sent.push({ name, body, times, answer });
      return answer.promise as Promise<Answer>;
    },
  };
  const errors = new ErrorChannel();
  const reported: DialogueError[] = [];
  errors.on((error) => reported.push(error));
  const owner = { requester, errors, outbox: { size: 10, timeoutMs: 10_000 }, broughtHistory: () => {} };
  return { rooms: new Rooms(owner), sent, reported };
}

function joined(events: EventMessage[] = [], subscriptions = ["message"]) {
  const place = { epoch: 1, seq: events[0]?.seq ?? 0 };
  return { roomId: "general", roomName: "General Chat", subscriptions, stored: ["message"], events, ...place };
}

function message(seq: number): EventMessage {
  return { event: "message", roomId: "general", data: seq, from: "ann", timestamp: 0, epoch: 1, seq };
}

const macrotask = () => new Promise((resolve) => setTimeout(resolve));

test("an event that comes before the join is answered reaches handlers that are registered after it", async () => {
  const { rooms: all, sent } = rooms();
  const seen: unknown[] = [];
  const open = async () => await all.join("general");
  const opened = open().then(async (room) => {
    await Promise.resolve();
    room.on("message", (message) => seen.push(message.data));
    return room;
  });
  all.receive(message(1));
  all.receive(message(2));
  sent[0]!.answer.resolve(joined([message(1)]));
  const room = await opened;
  expect(room.history.map(({ seq }) => seq)).toEqual([1]);
  all.receive(message(3));
  await macrotask();
  expect(seen).toEqual([2, 3]);
});

test("a subscription that is under way when the room is joined again is one that the join names", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const subscribed = [room.subscribe("typing"), room.unsubscribe("message")];
  const rejoining = all.rejoin();
  await macrotask();
  expect(sent.map(({ name }) => name)).toEqual(["dialogue:join", "dialogue:subscribe", "dialogue:unsubscribe"]);
  sent[1]!.answer.resolve({ subscriptions: ["message", "typing"] });
  sent[2]!.answer.reject(new DialogueError("TIMEOUT", "no answer"));
  await Promise.allSettled(subscribed);
  expect(sent[3]).toMatchObject({ name: "dialogue:join", body: { subscribe: ["typing"], defaults: true } });
  sent[3]!.answer.resolve(joined([], ["message", "typing"]));
  await rejoining;
  expect(room.subscriptions).toEqual(["message", "typing"]);
});

test("a join that is not answered in time leaves the room, and the next one is asked after that", async () => {
  const { rooms: all, sent, reported } = rooms();
  const late = all.join("general");
  sent[0]!.answer.reject(new DialogueError("TIMEOUT", "no answer"));
  await expect(late).rejects.toMatchObject({ code: "TIMEOUT" });
  const joining = all.join("general");
  expect(sent.map(({ name }) => name)).toEqual(["dialogue:join", "dialogue:leave"]);
  sent[1]!.answer.resolve({});
  await macrotask();
  sent[2]!.answer.resolve(joined());
  expect((await joining).state).toBe("joined");
  expect(reported).toEqual([]);
});

test("two joins of one room at once send one request and give the same room", async () => {
  const { rooms: all, sent } = rooms();
  const joins = [all.join("general"), all.join("general", { subscribe: ["typing"] })];
  sent[0]!.answer.resolve(joined());
  const [first, second] = await Promise.all(joins);
  expect(first).toBe(second);
  expect(await all.join("general")).toBe(first);
  expect(sent).toHaveLength(1);
});

test("a room that was joined twice is left when it is left twice", async () => {
  const { rooms: all, sent } = rooms();
  const joins = [all.join("general"), all.join("general")];
  sent[0]!.answer.resolve(joined());
  const [room] = await Promise.all(joins);
  await all.join("general");
  const heard = vi.fn();
  room!.on("message", heard);
  await room!.leave();
  await room!.leave();
  expect(room!.state).toBe("joined");
  await macrotask();
  all.receive(message(1));
  expect(heard).toHaveBeenCalledTimes(1);
  void room!.leave();
  expect(room!.state).toBe("left");
  expect(sent.map(({ name }) => name)).toEqual(["dialogue:join", "dialogue:leave"]);
  sent[1]!.answer.resolve({});
  // It is over: leaving it again is not to leave the next one.
  const again = all.join("general");
  await vi.waitFor(() => expect(sent).toHaveLength(3));
  sent[2]!.answer.resolve(joined());
  const next = await again;
  await room!.leave();
  expect(next.state).toBe("joined");
});

test("a join that is given up is none that has to be left", async () => {
  const { rooms: all, sent } = rooms();
  const aborted = new AbortController();
  const joins = [all.join("general"), all.join("general", { signal: aborted.signal })] as const;
  aborted.abort("enough");
  await expect(joins[1]).rejects.toBe("enough");
  sent[0]!.answer.resolve(joined());
  const room = await joins[0];
  void room.leave();
  expect(room.state).toBe("left");
});

test("a signal that can do no more than React Native's is enough", async () => {
  const { rooms: all, sent } = rooms();
  const { signal } = new AbortController();
  Object.defineProperty(signal, "throwIfAborted", { value: undefined });
  const joining = all.join("general", { signal });
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const [triggered, page] = [room.trigger("message", 1, undefined, { signal }), room.getHistory("message", { start: 0, signal })];
  await macrotask();
  sent[1]!.answer.resolve({});
  sent[2]!.answer.resolve({ events: [], seq: 0 });
  expect(await triggered).toEqual({});
  expect(await page).toEqual({ events: [], seq: 0 });
});

test("a room's history goes on with the stored events that come, up to 100, or as many as the join has brought", async () => {
  for (const brought of [1, 150]) {
    const { rooms: all, sent } = rooms();
    const joining = all.join("general");
    const events = Array.from({ length: brought }, (_, index) => message(brought - index));
    sent[0]!.answer.resolve(joined(events));
    const room = await joining;
    await macrotask();
    const atFirst = room.history;
    let inHistory = false;
    room.on("message", (message) => (inHistory = room.history[0] === message));
    for (let seq = brought + 1; seq <= brought + 120; seq++) all.receive({ ...message(seq), prev: seq - 1 });
    all.receive({ event: "typing", roomId: "general", data: null, from: "ann", timestamp: 0 });
    const newest = brought + 120;
    const most = Math.max(brought, 100);
    expect(room.history.map(({ seq }) => seq)).toEqual(Array.from({ length: most }, (_, index) => newest - index));
    expect(inHistory).toBe(true);
    expect(atFirst).toEqual(events);
  }
});

test("a refused join fails for both, and the next one asks again", async () => {
  const { rooms: all, sent } = rooms();
  const joins = Promise.allSettled([all.join("general"), all.join("general")]);
  const refusal = new DialogueError("ROOM_FULL", "full");
  sent[0]!.answer.reject(refusal);
  expect(await joins).toEqual([
    { status: "rejected", reason: refusal },
    { status: "rejected", reason: refusal },
  ]);
  void all.join("general");
  expect(sent).toHaveLength(2);
});

test("a join during a leave waits for its answer, so that no event of the old membership comes along", async () => {
  const { rooms: all, sent } = rooms();
  const first = all.join("general");
  sent[0]!.answer.resolve(joined());
  void (await first).leave();
  const seen: unknown[] = [];
  const second = all.join("general");
  all.receive(message(1));
  expect(sent.map(({ name }) => name)).toEqual(["dialogue:join", "dialogue:leave"]);
  sent[1]!.answer.resolve({});
  await vi.waitFor(() => expect(sent).toHaveLength(3));
  sent[2]!.answer.resolve(joined());
  const room = await second;
  room.on("message", (message) => seen.push(message.data));
  all.receive(message(2));
  await macrotask();
  expect(room).not.toBe(await first);
  expect(seen).toEqual([2]);
});

test("a room is joined again with the subscriptions that it had", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined([], ["message"]));
  const room = await joining;
  const subscribing = room.subscribe("typing");
  sent[1]!.answer.resolve({ subscriptions: ["message", "typing"], epoch: 1, seq: 0 });
  await subscribing;
  void all.rejoin();
  expect(sent[2]).toMatchObject({
    name: "dialogue:join",
    body: { roomId: "general", subscribe: ["typing"], defaults: true },
  });
});

test.each(["INTERNAL", "LIMIT_EXCEEDED", "ROOM_FULL"])("rejoin_that_is_refused_with_%s_is_asked_for_again", async (code) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { rooms: all, sent, reported } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  void all.rejoin();
  await vi.advanceTimersByTimeAsync(0);
  sent[1]!.answer.reject(new DialogueError(code as "INTERNAL", "for now"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(room.state).toBe("rejoining");
  expect(reported).toHaveLength(1);
  sent[2]!.answer.resolve(joined());
  await vi.advanceTimersByTimeAsync(0);
  expect(room.state).toBe("joined");
});

test("rejoin_whose_answer_comes_too_late_is_asked_for_with_more_time_and_fewer_events", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  await joining;
  void all.rejoin();
  for (const [times, limit] of [[1, undefined], [2, 25], [4, 7], [8, 2], [8, 2]]) {
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sent.at(-1)).toMatchObject({ name: "dialogue:join", times, body: { limit } });
    sent.at(-1)!.answer.reject(new DialogueError("TIMEOUT", "late"));
  }
});

test("a room that is left while it waits for a subscription to be joined again is not joined", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const subscribing = room.subscribe("typing");
  const rejoining = all.rejoin();
  void room.leave();
  sent[1]!.answer.resolve({ subscriptions: ["message", "typing"], epoch: 1, seq: 0 });
  await Promise.all([subscribing, rejoining]);
  await macrotask();
  expect(sent.map(({ name }) => name)).toEqual(["dialogue:join", "dialogue:subscribe", "dialogue:leave"]);
});

test("a room that the server takes away while it waits for a subscription is left", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  void room.subscribe("typing");
  const rejoining = all.rejoin();
  all.remove("general");
  sent[1]!.answer.resolve({ subscriptions: ["message", "typing"], epoch: 1, seq: 0 });
  await rejoining;
  expect([room.state, sent.length]).toEqual(["left", 2]);
});

test("a room that is being joined on a new connection already is not joined again on it", async () => {
  const { rooms: all, sent } = rooms();
  const states: string[] = [];
  const joining = all.join("general").then((room) => {
    room.onState((state) => states.push(state));
    return room;
  });
  void all.rejoin();
  expect(sent).toHaveLength(1);
  sent[0]!.answer.resolve(joined());
  expect((await joining).state).toBe("joined");
  await macrotask();
  expect(states).toEqual([]);
});

test("what is triggered while a room is joined again is sent after that, in order", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const rejoining = all.rejoin();
  void room.trigger("message", 1);
  void room.trigger("message", 2);
  await macrotask();
  expect(sent).toHaveLength(2);
  sent[1]!.answer.resolve(joined([message(7)]));
  await rejoining;
  void room.trigger("message", 3);
  expect(room.history).toEqual([message(7)]);
  expect(sent.slice(2).map(({ body }) => (body as { data: unknown }).data)).toEqual([1, 2, 3]);
});

test("a receipt is the event's place in the log, and empty for an event that is not stored", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const receipts = Promise.all([room.trigger("message", 1), room.trigger("ping")]);
  sent[1]!.answer.resolve({ epoch: "a", seq: 7 });
  sent[2]!.answer.resolve({});
  expect(await receipts).toEqual([{ epoch: "a", seq: 7 }, {}]);
  expect(sent[2]!.body).toEqual({ roomId: "general", event: "ping", data: null, key: expect.any(String) });
});

test("a room that is refused when it is joined again is reported, and is no longer joined", async () => {
  const { rooms: all, sent, reported } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const rejoining = all.rejoin();
  const refusal = new DialogueError("JOIN_DENIED", "not any more", { roomId: "general" });
  sent[1]!.answer.reject(refusal);
  await rejoining;
  expect(reported).toEqual([refusal]);
  expect(all.size).toBe(0);
  await expect(room.trigger("message", 1)).rejects.toMatchObject({ code: "NOT_IN_ROOM", roomId: "general" });
});

test("a room whose second join is cut off by a disconnection stays for the next one", async () => {
  const { rooms: all, sent, reported } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const seen: unknown[] = [];
  room.on("message", (message) => seen.push(message.data));
  const cutOff = all.rejoin();
  sent[1]!.answer.reject(new DialogueError("DISCONNECTED", "gone"));
  await cutOff;
  const rejoining = all.rejoin();
  sent[2]!.answer.resolve(joined());
  await rejoining;
  all.receive(message(1));
  await macrotask();
  expect(reported).toEqual([]);
  expect(seen).toEqual([1]);
});

test("a room that is left while it is joined again stays left", async () => {
  const { rooms: all, sent, reported } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const rejoining = all.rejoin();
  void room.leave();
  sent[1]!.answer.resolve(joined());
  sent[2]!.answer.resolve({});
  await rejoining;
  expect(sent[2]).toMatchObject({ name: "dialogue:leave" });
  expect(all.size).toBe(0);
  expect(reported).toEqual([]);
});

test("a failure to leave is reported unless the client is out of the room anyway", async () => {
  const { rooms: all, sent, reported } = rooms();
  for (const code of ["NOT_IN_ROOM", "ROOM_NOT_FOUND", "DISCONNECTED", "TIMEOUT"]) {
    const joining = all.join("general");
    await vi.waitFor(() => expect(sent.at(-1)?.name).toBe("dialogue:join"));
    sent.at(-1)!.answer.resolve(joined());
    const leaving = (await joining).leave();
    sent.at(-1)!.answer.reject(new DialogueError(code, "no"));
    if (code === "TIMEOUT") await expect(leaving).rejects.toMatchObject({ code });
    else await leaving;
  }
  expect(reported.map(({ code }) => code)).toEqual(["TIMEOUT"]);
});

test("a room can be got while it is joined, and neither before nor after", async () => {
  const { rooms: all, sent } = rooms();
  expect(all.get("general")).toBeUndefined();
  const joining = all.join("general");
  expect(all.get("general")).toBeUndefined();
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  expect(all.get("general")).toBe(room);
  const rejoining = all.rejoin();
  expect(all.get("general")).toBe(room);
  sent[1]!.answer.resolve(joined());
  await rejoining;
  void room.leave();
  expect(all.get("general")).toBeUndefined();
});

test("a deleted room hears nothing more, and is not joined again", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  const room = await joining;
  const heard = vi.fn();
  room.on("message", heard);
  all.receive(message(1));
  all.remove("general");
  all.receive(message(2));
  await macrotask();
  await all.rejoin();
  await expect(room.trigger("message", 1)).rejects.toMatchObject({ code: "NOT_IN_ROOM", roomId: "general" });
  expect(heard).not.toHaveBeenCalled();
  expect(sent).toHaveLength(1);
});

test("a room that is deleted while it is joined is asked for again: the answer may be from before", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general");
  sent[0]!.answer.resolve(joined());
  all.remove("general");
  await vi.waitFor(() => expect(sent).toHaveLength(2));
  const refusal = new DialogueError("ROOM_NOT_FOUND", "gone", { roomId: "general" });
  sent[1]!.answer.reject(refusal);
  await expect(joining).rejects.toBe(refusal);
  expect(all.get("general")).toBeUndefined();
  expect(all.size).toBe(0);
});

test("a room that is created anew while it is joined is joined", async () => {
  const { rooms: all, sent } = rooms();
  const joining = all.join("general", { subscribe: ["message"] });
  all.remove("general");
  sent[0]!.answer.resolve(joined());
  await vi.waitFor(() => expect(sent).toHaveLength(2));
  expect(sent[1]!.body).toEqual(sent[0]!.body);
  sent[1]!.answer.resolve(joined([message(1)]));
  const room = await joining;
  expect(all.get("general")).toBe(room);
  expect(room.history).toEqual([message(1)]);
});
