import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import { onTestFinished } from "vitest";

type Fields = { readonly [field: string]: unknown };

type Stored = Fields & { readonly seq: number };

/** The epoch of each room's log. */
const EPOCH = "1f";

/**
 * A server that speaks the protocol with one client, in valid packets, until it
 * is told to change some: then it answers and says what no server should.
 */
export class HostileServer {
  /** Changes the next answers to requests of one name, each once, in turn: a function is called in place of an answer. */
  readonly answers = new Map<string, unknown[]>();
  /** The payloads of the requests for the list of rooms, in order. */
  readonly lists: unknown[] = [];
  /** The payloads of the joins, in order. */
  readonly joins: unknown[] = [];
  /** The keys of the triggers, in order. */
  readonly keys: unknown[] = [];
  /** What is said first, in place of the welcome, on the next connections. */
  readonly welcomes: unknown[] = [];
  readonly url: string;
  #socket: Socket | undefined;
  /** Each room's log, oldest first. */
  readonly #logs = new Map<unknown, Stored[]>();

  private constructor(io: Server, port: number) {
    this.url = `http://127.0.0.1:${port}`;
    io.on("connection", (socket) => this.#serve(socket));
  }

  static async start(path = "/socket.io"): Promise<HostileServer> {
    const http = createServer((_, response) => void response.writeHead(404).end());
    const io = new Server(http, { maxHttpBufferSize: 1e8, path });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void io.close());
    return new HostileServer(io, (http.address() as AddressInfo).port);
  }

  /** Says something by itself. */
  say(event: string, ...packet: unknown[]): void {
    this.#socket!.emit(event, ...packet);
  }

  /** Closes the transport. */
  drop(): void {
    this.#socket!.conn.close();
  }

  /** A valid message: stored ones come after the last. */
  message(roomId: string, event: string, text: string): Fields {
    const message = { event, roomId, data: { text }, from: "ann", timestamp: 1, meta: { a: 1 } };
    if (event !== "stored") return message;
    const prev = this.#seq(roomId);
    const stored = { ...message, id: `${EPOCH}-${prev + 1}`, epoch: EPOCH, seq: prev + 1, prev };
    if (prev === 0) this.#logs.set(roomId, []);
    this.#logs.get(roomId)!.push(stored);
    return stored;
  }

  position(roomId: string): Fields {
    const seq = this.#seq(roomId);
    return { roomId, epoch: EPOCH, seq, last: { stored: seq } };
  }

  #seq(roomId: unknown): number {
    return this.#logs.get(roomId)?.length ?? 0;
  }

  /** The valid answer to a request. */
  answer(name: string, body: Fields = {}): Fields {
    const end = { epoch: EPOCH, seq: this.#seq(body.roomId) };
    const subscriptions = ["stored", "ephemeral"];
    const log = this.#logs.get(body.roomId) ?? [];
    const newest = log.slice(-2).reverse();
    const after = (place: unknown) => log.filter(({ seq }) => seq > Number(place));
    const room = { id: "den", name: "Den", size: 1, maxSize: 2, description: "A den.", createdById: "ann" };
    switch (name) {
      case "dialogue:join":
        return {
          ok: true,
          roomId: body.roomId,
          roomName: "Hall",
          subscriptions,
          stored: ["stored"],
          ...end,
          events: body.since ? after((body.since as Stored).seq) : newest,
          more: false,
          ...(body.since !== undefined && { recovered: true, last: { stored: end.seq } }),
        };
      case "dialogue:subscribe":
      case "dialogue:subscribeAll":
      case "dialogue:unsubscribe":
        return { ok: true, subscriptions, ...end };
      case "dialogue:getHistory":
        return { ok: true, events: body.after === undefined ? newest : after(body.after), complete: true, ...end };
      case "dialogue:listRooms":
        return { ok: true, rooms: [room], ...(body.after === undefined && { next: "1" }) };
      case "dialogue:createRoom":
        return { ok: true, room };
      case "dialogue:trigger":
        return { ok: true, ...end };
      case "dialogue:authenticate":
        return { ok: true, expiresAt: Date.now() + 3_600_000, expiresInMs: 3_600_000 };
      default:
        return { ok: true };
    }
  }

  #serve(socket: Socket): void {
    this.#socket = socket;
    socket.emit("dialogue:connected", this.welcomes.length > 0 ? this.welcomes.shift() : welcome());
    socket.onAny((name: string, ...args: unknown[]) => {
      const answer = args.pop() as (...answer: unknown[]) => void;
      if (name === "dialogue:listRooms") this.lists.push(args[0]);
      if (name === "dialogue:join") this.joins.push(args[0]);
      if (name === "dialogue:trigger") this.keys.push((args[0] as Fields).key);
      const changed = this.answers.get(name) ?? [];
      const change = changed.length > 0 ? changed.shift() : this.answer(name, args[0] as Fields);
      if (typeof change === "function") change();
      else answer(change);
    });
  }
}

export function welcome(): Fields {
  return {
    clientId: "c1",
    userId: "ann",
    contract: "other",
    expiresAt: Date.now() + 3_600_000,
    expiresInMs: 3_600_000,
    maxMessageBytes: 1_000_000,
  };
}

/** What stands where something else should: `undefined` is what is not sent at all. */
const WRONG: readonly unknown[] = [
  undefined,
  null,
  true,
  -1,
  0.5,
  7,
  1e308,
  "",
  "no",
  "x".repeat(100_000),
  "__proto__",
  [],
  [null],
  [7],
  [[]],
  [{}],
  {},
  { length: 1e9 },
  { toString: 1, valueOf: 1 },
  JSON.parse('{ "__proto__": null, "constructor": null, "then": 7 }'),
  JSON.parse("[".repeat(2_000) + "]".repeat(2_000)),
];

/**
 * Packets in whose place something is wrong: the whole, or one of its values, at
 * any depth. Another number that counts is not wrong but a lie, which no shape
 * tells: a server may say that a log is longer than it is.
 */
export function* mutations(packet: unknown): Generator<unknown> {
  for (const wrong of WRONG) if (!(Number.isSafeInteger(packet) && Number.isSafeInteger(wrong))) yield wrong;
  if (typeof packet !== "object" || packet === null) return;
  for (const [key, value] of Object.entries(packet)) {
    // A payload is the app's to check, and any JSON.
    if (key === "data" || key === "meta" || key === "params") continue;
    for (const wrong of mutations(value)) {
      if (Array.isArray(packet)) yield packet.map((item, index) => (String(index) === key ? wrong : item));
      else yield { ...packet, [key]: wrong };
    }
  }
}
