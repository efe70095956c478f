import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ExampleServer } from "../dialogue-client/typescript/tests/support/example-server.js";
import { PlainSocket } from "./support/plain-socket.js";

interface RoomEvent {
  event: string;
  roomId: string;
  from: string;
  timestamp: number;
  data: { text: string };
}

const DEFAULTS = ["message", "user:joined", "user:left"];
const NOT_IN_ROOM = { ok: false, code: "NOT_IN_ROOM", roomId: "general" };
const ISSUES = [{ path: "text", code: "length", message: expect.any(String), params: { min: 1, max: 2000 } }];

const general = { roomId: "general" };

function message(text: string, meta?: object) {
  return { roomId: "general", event: "message", data: { text }, ...(meta && { meta }) };
}

function isMessage(text: string) {
  return ({ event, data }: RoomEvent) => event === "message" && data.text === text;
}

describe.each(["websocket", "polling"] as const)("a plain Socket.IO client over %s", (transport) => {
  let server: ExampleServer;
  let sockets: PlainSocket[] = [];
  let ann: PlainSocket;

  beforeAll(async () => {
    server = await ExampleServer.start("chat");
  });
  beforeEach(async () => {
    ann = await connect("ann");
  });
  afterEach(() => {
    for (const socket of sockets) socket.close();
    sockets = [];
  });
  afterAll(() => server.kill());

  async function connect(userId: string): Promise<PlainSocket> {
    const { socket } = await PlainSocket.connect(server.url, transport, { userId });
    sockets.push(socket);
    return socket;
  }

  describe("connecting", () => {
    test("is answered with who the client is", async () => {
      const { socket, who } = await PlainSocket.connect(server.url, transport, { userId: "bob" });
      sockets.push(socket);
      expect(who).toEqual({ clientId: expect.stringMatching(/./), userId: "bob", maxMessageBytes: 1_000_000 });
      expect(socket.received).toEqual([["dialogue:connected", who]]);
    });

    test("without a user id makes the client id that", async () => {
      const { socket, who } = await PlainSocket.connect(server.url, transport);
      sockets.push(socket);
      expect(who.userId).toBe(who.clientId);
    });

    test("as `system` is refused, with the reason as JSON in the error's message", async () => {
      const refused = PlainSocket.connect(server.url, transport, { userId: "system" });
      const error = await refused.then(() => undefined, (error: Error) => error);
      expect(JSON.parse(error!.message)).toEqual({ code: "UNAUTHENTICATED", message: expect.any(String) });
    });
  });

  describe("with acknowledgements", () => {
    test("joining gives the room, its subscriptions and its history", async () => {
      await ann.ask("dialogue:join", general);
      await ann.ask("dialogue:trigger", message("first"));
      await ann.ask("dialogue:trigger", message("second"));
      const bob = await connect("bob");
      const { events, ...room } = await bob.ask("dialogue:join", general);
      expect(room).toMatchObject({
        ok: true,
        roomId: "general",
        roomName: "General Chat",
        subscriptions: DEFAULTS,
        more: false,
      });
      expect((events as RoomEvent[]).slice(0, 2)).toMatchObject([
        { event: "message", roomId: "general", from: "ann", data: { text: "second" } },
        { event: "message", roomId: "general", from: "ann", data: { text: "first" } },
      ]);
      expect(bob.received.map(([event]) => event)).not.toContain("dialogue:joined");
    });

    test("joining with subscriptions takes them in place of the room's own", async () => {
      const joined = await ann.ask("dialogue:join", { ...general, subscribe: ["typing"] });
      expect(joined).toMatchObject({ ok: true, subscriptions: ["typing"], events: [] });
    });

    test("joining again is answered in full", async () => {
      await ann.ask("dialogue:join", general);
      expect(await ann.ask("dialogue:join", general)).toMatchObject({ ok: true, roomName: "General Chat" });
    });

    test("more history than a join brings is announced", async () => {
      await ann.ask("dialogue:join", general);
      await Promise.all(Array.from({ length: 51 }, (_, index) => ann.ask("dialogue:trigger", message(`${index}`))));
      const { events, more } = await ann.ask("dialogue:join", general);
      expect(events).toHaveLength(50);
      expect(more).toBe(true);
    });

    test("a trigger reaches every subscriber as it was parsed, the sender included", async () => {
      const bob = await connect("bob");
      await ann.ask("dialogue:join", general);
      await bob.ask("dialogue:join", general);
      const heard = [ann, bob].map((socket) => socket.next("dialogue:event", isMessage("hello")));
      const { data, ...trigger } = message("hello", { trace: "t-1" });
      const before = Date.now();
      const answer = await ann.ask("dialogue:trigger", { ...trigger, data: { ...data, colour: "red" } });
      expect(answer).toMatchObject({ ok: true });
      for (const event of await Promise.all(heard)) {
        expect(event).toMatchObject({ event: "message", roomId: "general", from: "ann", meta: { trace: "t-1" } });
        expect(event.data).toEqual({ text: "hello", replyTo: null });
        expect(event.timestamp).toBeGreaterThanOrEqual(before - 1_000);
        expect(event.timestamp).toBeLessThanOrEqual(Date.now() + 1_000);
      }
    });

    test("subscriptions are listed as they change", async () => {
      await ann.ask("dialogue:join", general);
      const typing = { ...general, eventName: "typing" };
      const subscriptions = async (request: string, payload: object) =>
        new Set((await ann.ask(request, payload)).subscriptions as string[]);
      expect(await subscriptions("dialogue:subscribe", typing)).toEqual(new Set([...DEFAULTS, "typing"]));
      expect(await subscriptions("dialogue:unsubscribe", typing)).toEqual(new Set(DEFAULTS));
      const all = await subscriptions("dialogue:subscribeAll", general);
      expect(all.has("*") || all.has("typing")).toBe(true);
    });

    test("history is read in pages, newest first", async () => {
      await ann.ask("dialogue:join", general);
      for (const text of ["one", "two", "three"]) await ann.ask("dialogue:trigger", message(text));
      const page = await ann.ask("dialogue:getHistory", { ...general, eventName: "message", start: 1, end: 3 });
      expect(page).toMatchObject({ ok: true, complete: true });
      expect((page.events as RoomEvent[]).map(({ data }) => data.text)).toEqual(["two", "one"]);
    });

    test("the rooms are listed with how many are in them", async () => {
      const size = async () => {
        const { ok, rooms } = await ann.ask("dialogue:listRooms");
        expect(ok).toBe(true);
        expect(rooms).toEqual([expect.objectContaining({ id: "general", name: "General Chat" })]);
        return (rooms as [{ size: number }])[0].size;
      };
      await expect.poll(size).toBe(0);
      await ann.ask("dialogue:join", general);
      expect(await size()).toBe(1);
    });

    test("leaving ends the membership, once", async () => {
      const bob = await connect("bob");
      await bob.ask("dialogue:join", general);
      await ann.ask("dialogue:join", general);
      const left = bob.next<RoomEvent>("dialogue:event", ({ event }) => event === "user:left");
      expect(await ann.ask("dialogue:leave", general)).toEqual({ ok: true });
      expect((await left).data).toEqual({ userId: "ann" });
      expect(await ann.ask("dialogue:leave", general)).toMatchObject(NOT_IN_ROOM);
    });

    test.each([
      ["dialogue:trigger", message("hello")],
      ["dialogue:subscribe", { ...general, eventName: "typing" }],
      ["dialogue:unsubscribe", { ...general, eventName: "typing" }],
      ["dialogue:subscribeAll", general],
      ["dialogue:getHistory", { ...general, eventName: "message" }],
    ])("%s needs membership", async (request, payload) => {
      expect(await ann.ask(request, payload)).toMatchObject(NOT_IN_ROOM);
    });

    test("an event that only the server triggers is refused", async () => {
      await ann.ask("dialogue:join", general);
      const data = { userId: "eve", username: "Eve" };
      expect(await ann.ask("dialogue:trigger", { ...general, event: "user:joined", data })).toMatchObject({
        ok: false,
        code: "EVENT_NOT_ALLOWED",
        roomId: "general",
        event: "user:joined",
      });
    });

    test("a room that is not there is not found", async () => {
      expect(await ann.ask("dialogue:join", { roomId: "nowhere" })).toMatchObject({
        ok: false,
        code: "ROOM_NOT_FOUND",
        roomId: "nowhere",
      });
    });

    test.each([
      ["an empty text", ""],
      ["a text that is too long", "x".repeat(2001)],
    ])("%s is refused with its issue, without the text", async (_, text) => {
      await ann.ask("dialogue:join", general);
      expect(await ann.ask("dialogue:trigger", message(text))).toEqual({
        ok: false,
        code: "VALIDATION_FAILED",
        message: expect.any(String),
        roomId: "general",
        event: "message",
        issues: ISSUES,
      });
    });

    test("a text at its limit is accepted", async () => {
      await ann.ask("dialogue:join", general);
      expect(await ann.ask("dialogue:trigger", message("ü".repeat(2000)))).toMatchObject({ ok: true });
    });

    test("a payload of another type is refused at its field", async () => {
      await ann.ask("dialogue:join", general);
      const answer = await ann.ask("dialogue:trigger", { ...message(""), data: { text: 5 } });
      expect(answer).toMatchObject({ code: "VALIDATION_FAILED", issues: [{ path: "text" }] });
    });

    test.each([
      ["an unknown request", "dialogue:x", [{}]],
      ["a join without a payload", "dialogue:join", []],
      ["a join without a room", "dialogue:join", [{}]],
      ["a join that is no object", "dialogue:join", ["general"]],
      ["a room id that is no text", "dialogue:join", [{ roomId: 5 }]],
      ["subscriptions that are no list", "dialogue:join", [{ roomId: "general", subscribe: "message" }]],
      ["a trigger without an event", "dialogue:trigger", [{ roomId: "general", data: {} }]],
      ["a subscription without an event", "dialogue:subscribe", [{ roomId: "general" }]],
      ["a page before the newest", "dialogue:getHistory", [{ ...general, eventName: "message", start: -1, end: 5 }]],
    ])("%s is an invalid request", async (_, request, payload) => {
      await ann.ask("dialogue:join", general);
      expect(await ann.ask(request, ...payload)).toMatchObject({ ok: false, code: "INVALID_REQUEST" });
    });

    test("10,000 requests in one flight are all answered, in order", { timeout: 60_000 }, async () => {
      const asked = Array.from({ length: 10_000 }, (_, index) => index);
      const answered: number[] = [];
      const codes = new Set<unknown>();
      await new Promise<void>((resolve) => {
        for (const index of asked) {
          ann.askInFlight("dialogue:join", { roomId: "nowhere" }, (answer) => {
            answered.push(index);
            codes.add(answer.code);
            if (answered.length === asked.length) resolve();
          });
        }
      });
      expect(answered).toEqual(asked);
      // So many at once are more than a client may ask for: it is told so, and disconnected from nothing.
      expect([...codes].sort()).toEqual(["RATE_LIMITED", "ROOM_NOT_FOUND"]);
    });
  });

  describe("without acknowledgements", () => {
    test("joining is answered with the room, then with its history", async () => {
      const bob = await connect("bob");
      await bob.ask("dialogue:join", general);
      await bob.ask("dialogue:trigger", message("earlier"));
      const history = ann.next<{ roomId: string; events: RoomEvent[] }>("dialogue:history");
      ann.tell("dialogue:join", general);
      const { roomId, events } = await history;
      expect(roomId).toBe("general");
      expect(events[0]).toMatchObject({ event: "message", from: "bob", data: { text: "earlier" } });
      const answers = ann.received.filter(([event]) => event !== "dialogue:event");
      expect(answers.slice(1).map(([event]) => event)).toEqual(["dialogue:joined", "dialogue:history"]);
      expect(answers[1]![1]).toEqual({ roomId: "general", roomName: "General Chat" });
    });

    test("a trigger comes back as an event", async () => {
      ann.tell("dialogue:join", general);
      ann.tell("dialogue:trigger", message("to myself"));
      expect(await ann.next("dialogue:event", isMessage("to myself"))).toMatchObject({ from: "ann" });
    });

    test("subscriptions take effect for what follows", async () => {
      const typing = { ...general, eventName: "typing" };
      const isTyping = { ...general, event: "typing", data: { isTyping: true } };
      ann.tell("dialogue:join", general);
      ann.tell("dialogue:trigger", isTyping);
      ann.tell("dialogue:subscribe", typing);
      ann.tell("dialogue:trigger", { ...isTyping, meta: { step: "subscribed" } });
      ann.tell("dialogue:unsubscribe", typing);
      ann.tell("dialogue:trigger", isTyping);
      ann.tell("dialogue:subscribeAll", general);
      ann.tell("dialogue:trigger", { ...isTyping, meta: { step: "all" } });
      ann.tell("dialogue:trigger", message("done"));
      await ann.next("dialogue:event", isMessage("done"));
      const steps = ann.received.flatMap(([name, payload]) => {
        const { event, meta } = payload as { event?: string; meta?: { step: string } };
        return name === "dialogue:event" && event === "typing" ? [meta?.step] : [];
      });
      expect(steps).toEqual(["subscribed", "all"]);
    });

    test("history comes with the page that was asked for, by default the first 50", async () => {
      await ann.ask("dialogue:join", general);
      await ann.ask("dialogue:trigger", message("latest"));
      const response = ann.next<{ events: RoomEvent[] }>("dialogue:historyResponse");
      ann.tell("dialogue:getHistory", { ...general, eventName: "message" });
      const { events, ...page } = await response;
      expect(page).toEqual({ roomId: "general", eventName: "message", start: 0, end: 50 });
      expect(events[0]).toMatchObject({ data: { text: "latest" } });
    });

    test("the rooms are listed", async () => {
      const rooms = ann.next<unknown>("dialogue:rooms");
      ann.tell("dialogue:listRooms");
      expect(await rooms).toEqual([expect.objectContaining({ id: "general", name: "General Chat" })]);
    });

    test("leaving is answered", async () => {
      ann.tell("dialogue:join", general);
      ann.tell("dialogue:leave", general);
      expect(await ann.next("dialogue:left")).toEqual({ roomId: "general" });
    });

    test.each([
      ["a trigger outside the room", [], ["dialogue:trigger", message("hello")], "NOT_IN_ROOM"],
      ["a room that is not there", [], ["dialogue:join", { roomId: "nowhere" }], "ROOM_NOT_FOUND"],
      ["an unknown request", [], ["dialogue:x", {}], "INVALID_REQUEST"],
      ["a wrong shape", [], ["dialogue:join", { roomId: 5 }], "INVALID_REQUEST"],
      [
        "an event of the server",
        [general],
        ["dialogue:trigger", { ...general, event: "user:left", data: { userId: "eve" } }],
        "EVENT_NOT_ALLOWED",
      ],
    ] as const)("%s is reported", async (_, joins, [request, payload], code) => {
      for (const room of joins) await ann.ask("dialogue:join", room);
      const error = ann.next<unknown>("dialogue:error");
      ann.tell(request, payload);
      expect(await error).toMatchObject({ code, message: expect.any(String) });
    });

    test("a payload that is not valid is reported with its issues", async () => {
      ann.tell("dialogue:join", general);
      ann.tell("dialogue:trigger", message(""));
      expect(await ann.next("dialogue:error")).toEqual({
        code: "VALIDATION_FAILED",
        message: expect.any(String),
        roomId: "general",
        event: "message",
        issues: ISSUES,
      });
    });
  });
});
