import { abortable, reasonOf } from "./abortable.js";
import { type Authenticated, Connection } from "./connection.js";
import type { ConnectionState } from "./connection-state.js";
import type { AnyContract, Contract } from "./contract.js";
import type { CreateRoomOptions } from "./create-room-options.js";
import type { DialogueClient } from "./dialogue-client.js";
import { DialogueError } from "./error.js";
import { ErrorChannel } from "./error-channel.js";
import type { EventMessage } from "./event-message.js";
import { type Handler, Handlers, HandlersByName, type Unsubscribe } from "./handlers.js";
import { type AnyJoinArguments, type JoinOptions, readJoinArguments } from "./join-arguments.js";
import type { JoinedRoom } from "./joined-room.js";
import type { Auth, DialogueClientOptions } from "./options.js";
import { decodeRefusal } from "./refusal.js";
import type { RoomInfo } from "./room-info.js";
import { Rooms } from "./rooms.js";

/**
 * Makes a client of a Dialogue server. Unless `autoConnect` is false, it connects
 * at once; `connect()` says when it has.
 *
 * Its type argument is the server's contract; without one, any room and event
 * is let through.
 *
 * @example
 * ```ts
 * const client = createDialogueClient({ url: "http://localhost:3000", auth: { userId: "ann" } });
 * await client.connect();
 * const chat = await client.join("general");
 * chat.on<{ text: string }>("message", (message) => console.log(`${message.from}: ${message.data.text}`));
 * await chat.trigger("message", { text: "Hello" });
 * ```
 *
 * @throws TypeError if `url` is not the origin of a server, or is missing outside a browser.
 */
export function createDialogueClient<C extends Contract = AnyContract>(
  options: DialogueClientOptions = {},
): DialogueClient<C> {
  // A contract has no trace at run time: what it says of rooms and events is the cast.
  return new Client(options) as unknown as DialogueClient<C>;
}

/** The names that belong to Dialogue, or to Socket.IO: no event to one client can have them. */
const RESERVED = /^(dialogue:.*|connect(_error)?|disconnect(ing)?|(new|remove)Listener)$/s;

/** How many pages of the list of rooms are asked for: a server that lies says for ever that there are more. */
const MOST_PAGES = 1_000;

/** A page of the list of rooms: perhaps an empty one, although more come. */
interface RoomsPage {
  readonly rooms: readonly RoomInfo[];
  /** Where the next page begins. Absent: this is the last one. */
  readonly next?: string;
}

class Client implements Omit<DialogueClient, "join" | "joinId" | "getRoom" | "on"> {
  readonly #connection: Connection;
  readonly #rooms: Rooms;
  readonly #errors = new ErrorChannel();
  readonly #states = new Handlers<[state: ConnectionState, error: DialogueError | undefined]>();
  readonly #connected = new Handlers<[]>();
  readonly #disconnected = new Handlers<[reason: string]>();
  readonly #roomCreated = new Handlers<[room: RoomInfo]>();
  readonly #roomDeleted = new Handlers<[roomId: string]>();
  readonly #history = new Handlers<[roomId: string, events: EventMessage[]]>();
  readonly #contractChanged = new Handlers<[hash: string]>();
  readonly #directEvents = new HandlersByName<[payload: unknown]>();
  #error: DialogueError | undefined;
  #told: readonly [state: ConnectionState, error: DialogueError | undefined] = ["disconnected", undefined];

  constructor(options: DialogueClientOptions) {
    this.#connection = new Connection(options, {
      changed: () => {
        if (this.connected) this.#error = undefined;
        // Before anybody hears of it: what they trigger then is to wait.
        else this.#rooms.suspend();
        this.#tellState();
      },
      established: () => this.#established(),
      differs: (contract) => this.#contractChanged.call(contract),
      dismissed: () => {
        const reported = this.#error?.code === "TOKEN_EXPIRED" ? this.#error : undefined;
        this.#error = reported ?? new DialogueError("DISCONNECTED", "the server ended the connection");
        this.#rooms.clear(this.#error);
        if (!reported) this.#errors.report(this.#error);
      },
      lost: (reason) => {
        this.#forsakeIfDisconnected();
        this.#disconnected.call(reason);
      },
      unreachable: (error) => {
        // Each attempt may fail in the same way.
        const { message, retryAfterMs } = error;
        if (message !== this.#error?.message || retryAfterMs !== this.#error.retryAfterMs) this.#error = error;
        this.#tellState();
      },
      failed: (error) => {
        this.#forsakeIfDisconnected();
        if (error.roomId === undefined) this.#error = error;
        this.#tellState();
        this.#errors.report(error);
      },
      packets: {
        "dialogue:event": (message) => this.#rooms.receive(message),
        "dialogue:position": (end) => this.#rooms.heardOf(end.roomId, end),
        "dialogue:left": ({ roomId }) => this.#rooms.remove(roomId),
        "dialogue:roomCreated": (room) => this.#roomCreated.call(room),
        "dialogue:roomDeleted": ({ roomId }) => {
          this.#rooms.remove(roomId);
          this.#roomDeleted.call(roomId);
        },
      },
      sent: (event, payload) => this.#directEvents.call(event, payload),
    });
    this.#rooms = new Rooms({
      requester: this.#connection,
      errors: this.#errors,
      outbox: { size: options.outboxSize ?? 1_000, timeoutMs: options.triggerTimeoutMs ?? 30_000 },
      broughtHistory: (roomId, events) => this.#history.call(roomId, events),
    });
    if (options.autoConnect ?? true) this.open();
  }

  get userId(): string {
    return this.#connection.userId;
  }

  get id(): string {
    return this.#connection.clientId;
  }

  get connected(): boolean {
    return this.state === "connected";
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  get error(): DialogueError | undefined {
    return this.#error;
  }

  connect({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (signal?.aborted) return this.#errors.watch(Promise.reject(reasonOf(signal)));
    const connected = abortable(this.#connection.connect(), signal);
    connected.catch(() => signal?.aborted && this.#connection.forgo());
    return connected;
  }

  open(): void {
    if (this.state === "disconnected") this.#connection.open();
  }

  disconnect(): void {
    this.#rooms.clear();
    this.#connection.disconnect();
  }

  authenticate(auth?: Auth): Promise<Authenticated> {
    return this.#connection.authenticate(auth);
  }

  async join(pattern: string, ...args: AnyJoinArguments): Promise<JoinedRoom> {
    return this.joinId(...readJoinArguments(pattern, args));
  }

  async joinId(roomId: string, options: JoinOptions = {}): Promise<JoinedRoom> {
    if (this.state === "connecting" && !this.#rooms.get(roomId)) {
      await abortable(this.#connection.opening(), options.signal);
    }
    return this.#rooms.join(roomId, options);
  }

  getRoom(roomId: string): JoinedRoom | undefined {
    return this.#rooms.get(roomId);
  }

  async listRooms(): Promise<RoomInfo[]> {
    const listed = new Map<string, RoomInfo>();
    let after: string | undefined;
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const { rooms, next } = await this.#connection.request<RoomsPage>("dialogue:listRooms", { after });
      // A room that is deleted and created again meanwhile is on a later page, too.
      for (const room of rooms) listed.set(room.id, room);
      if (next === undefined) return [...listed.values()];
      if (next === after) break;
      after = next;
    }
    throw decodeRefusal({ next: after });
  }

  async createRoom(options: CreateRoomOptions): Promise<RoomInfo> {
    return (await this.#connection.request<{ readonly room: RoomInfo }>("dialogue:createRoom", { ...options })).room;
  }

  async deleteRoom(roomId: string): Promise<void> {
    await this.#connection.request("dialogue:deleteRoom", { roomId });
  }

  on(event: string, handler: Handler<[payload: unknown]>): Unsubscribe {
    if (RESERVED.test(event)) {
      throw new TypeError(`\`${event}\` is reserved`);
    }
    return this.#directEvents.add(event, handler);
  }

  onRoomCreated(handler: Handler<[room: RoomInfo]>): Unsubscribe {
    return this.#roomCreated.add(handler);
  }

  onRoomDeleted(handler: Handler<[roomId: string]>): Unsubscribe {
    return this.#roomDeleted.add(handler);
  }

  onHistory(handler: Handler<[roomId: string, events: EventMessage[]]>): Unsubscribe {
    return this.#history.add(handler);
  }

  onContractChanged(handler: Handler<[hash: string]>): Unsubscribe {
    return this.#contractChanged.add(handler);
  }

  onState(handler: Handler<[state: ConnectionState, error: DialogueError | undefined]>): Unsubscribe {
    return this.#states.add(handler);
  }

  onConnect(handler: Handler<[]>): Unsubscribe {
    return this.#connected.add(handler);
  }

  onDisconnect(handler: Handler<[reason: string]>): Unsubscribe {
    return this.#disconnected.add(handler);
  }

  onError(handler: Handler<[error: DialogueError]>): Unsubscribe {
    return this.#errors.on(handler);
  }

  #established(): void {
    // A handler may have disconnected it again.
    if (!this.connected) return;
    if (this.#rooms.size === 0) return this.#connected.call();
    const { clientId } = this.#connection;
    void this.#rooms.rejoin().then(() => {
      if (this.connected && this.id === clientId) this.#connected.call();
    });
  }

  #tellState(): void {
    const { state, error } = this;
    if (state === this.#told[0] && error === this.#told[1]) return;
    this.#told = [state, error];
    this.#states.call(state, error);
  }

  /** What waits for a connection waits in vain if none is on its way. */
  #forsakeIfDisconnected(): void {
    if (this.state === "disconnected") this.#rooms.forsake();
  }
}
