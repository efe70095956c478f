import type { ConnectionState } from "./connection-state.js";
import type {
  AnyContract,
  AnyRoomContract,
  Contract,
  EventName,
  OnDirect,
  RoomContract,
  RoomId,
  RoomPattern,
} from "./contract.js";
import type { CreateRoomOptions } from "./create-room-options.js";
import type { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { Handler, Unsubscribe } from "./handlers.js";
import type { JoinArguments, JoinOptions } from "./join-arguments.js";
import type { Auth } from "./options.js";
import type { Room, RoomOf } from "./room.js";
import type { RoomInfo } from "./room-info.js";

/** A client of one Dialogue server. Made by `createDialogueClient`. */
export interface DialogueClient<C extends Contract = AnyContract> {
  /** The user id that the server knows this client by; `""` until it is connected, the last one while it is not. */
  readonly userId: string;
  /** The id of this connection; `""` until it is connected, the last one while it is not. A reconnection gets a new one. */
  readonly id: string;
  /** Whether requests can be made: `state` is `"connected"`. */
  readonly connected: boolean;
  /** `"connecting"` from `connect()` on, and again while a lost connection is being opened. */
  readonly state: ConnectionState;

  /**
   * What failed or was refused last outside any room, since the client was last
   * connected or authenticated: where it is not connected, the reason.
   */
  readonly error: DialogueError | undefined;

  /**
   * Connects to the server, or waits until the client is connected, as it does
   * by itself where the option `autoConnect` is not false. Resolves at once if
   * it is connected.
   *
   * If it is the first connection and the attempt fails, the client is
   * `"disconnected"` and may be told to connect again; a client that was not told
   * to connect keeps trying by itself. A connection that is lost later is opened again by itself,
   * with growing delays, and the joined rooms are joined again with the same
   * subscriptions; {@link onConnect} says when. It is not opened again after the
   * server has closed it on purpose, or refuses the credentials. If they have
   * expired, it is where `auth` is a function, which is asked for fresh ones.
   *
   * May be called without awaiting it: a failure also reaches {@link onError},
   * unless `disconnect()` is why, and is never an unhandled rejection.
   *
   * @throws DialogueError `UNAUTHENTICATED` and other refusals of the server; `DISCONNECTED` if the server cannot be
   * reached, or `disconnect()` comes first; `TIMEOUT`. With a `signal` that is aborted, its reason: a first attempt is
   * given up then, for whoever waits for it.
   */
  connect(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  /**
   * Connects without anybody waiting for it, as a client does by itself where
   * the option `autoConnect` is not false: it keeps trying, unless it is refused.
   * Does nothing if the client is connected or connecting.
   */
  open(): void;

  /** Leaves every room, closes the connection, and stops any attempt to open it. */
  disconnect(): void;

  /**
   * Proves anew who this client is, on the connection that there is: in time,
   * before the credentials expire and the server closes it. The user stays the
   * same. Where `auth` is a function and the server has said when they expire,
   * the client does so by itself when a quarter of the time is left, or a
   * minute if that is less.
   *
   * @param auth What to send, now and on later connections, in place of the options' `auth`; what the server refuses is
   * not kept. Without a connection it is for the next one. Default: the options' `auth`, asked again if it is a function.
   * @returns When these credentials expire, in milliseconds since the Unix epoch; empty if they do not.
   * @throws DialogueError `UNAUTHENTICATED` if they are refused, are another user's, or cannot be had; `TOKEN_EXPIRED`;
   * `RATE_LIMITED`; `DISCONNECTED`; `TIMEOUT`.
   */
  authenticate(auth?: Auth): Promise<{ readonly expiresAt?: number }>;

  /**
   * Joins a room, or a room of a family by its pattern and parameters:
   *
   * ```ts
   * await client.join("general");
   * await client.join("general", { subscribe: ["message", "typing"] });
   * await client.join("doc:{documentId}", { documentId: "42" });
   * await client.join("doc:{documentId}", { documentId: "42" }, { subscribe: ["edited"] });
   * ```
   *
   * While the client is connecting, it waits for that. A room that is joined
   * already, or being joined, is given as it is, whatever the options. Events that come in during the join are held, and handed over
   * in the macrotask after it: handlers that are registered right after
   * `await client.join(..)` miss nothing.
   *
   * @throws DialogueError `ROOM_NOT_FOUND`, `JOIN_DENIED`, `ROOM_FULL` and other refusals; `INVALID_REQUEST` for a
   * parameter that is missing or empty; `DISCONNECTED`; `TIMEOUT`. With a `signal` that is aborted, its reason.
   */
  join<P extends RoomPattern<C>>(room: P, ...args: JoinArguments<P, C["rooms"][P]>): Promise<RoomOf<C, P>>;

  /**
   * Joins a room that the contract does not name, by its id: one that was
   * created at run time, or of a family whose id is at hand. What it carries is
   * what the type argument says; without one, any event is let through.
   *
   * ```ts
   * const { id } = await client.createRoom({ id: "den", name: "The Den" });
   * const den = await client.joinId<Contract["rooms"]["lobby"]>(id);
   * ```
   *
   * @throws DialogueError as {@link join}.
   */
  joinId<R extends RoomContract = AnyRoomContract>(roomId: string, options?: JoinOptions<EventName<R>>): Promise<Room<R>>;

  /** The joined room of this id, not of a pattern; `undefined` if it is not joined, or not yet. */
  getRoom<P extends RoomId<C>>(roomId: P): RoomOf<C, P> | undefined;

  /** The same of an id that the contract does not name: its events are not typed. */
  getRoom(roomId: string): Room | undefined;

  /**
   * All rooms that this client may see, each once. The server lists them in
   * pages, of 1,000 rooms by default, which are asked for one after the other:
   * rooms that are created or deleted meanwhile may be in the list or not.
   *
   * @throws DialogueError `DISCONNECTED`, `TIMEOUT` and refusals of the server, for any page; `INTERNAL` if the list has
   * no end: a page says that it goes on where it began, or there are more than 1,000 pages.
   */
  listRooms(): Promise<RoomInfo[]>;

  /**
   * Creates a room, if the server lets this client; it decides which events the
   * room has. The client is not in it until it joins.
   *
   * @throws DialogueError `PERMISSION_DENIED`; `ROOM_EXISTS`; `LIMIT_EXCEEDED` if the user has created as many rooms as
   * it may; `INVALID_REQUEST` for an id, name or description that no room may have; `DISCONNECTED`; `TIMEOUT`.
   */
  createRoom(options: CreateRoomOptions): Promise<RoomInfo>;

  /**
   * Deletes a room that this client's user has created, with all that it keeps.
   * Whoever is in it is in it no longer.
   *
   * @throws DialogueError `PERMISSION_DENIED`; `ROOM_NOT_FOUND`; `DISCONNECTED`; `TIMEOUT`.
   */
  deleteRoom(roomId: string): Promise<void>;

  /**
   * Calls a handler for each event of one name that the server sends to this
   * client alone, outside any room. Where the contract does not say which there
   * are, the payload is taken to be what the caller says: `on<Payload>(..)`. What
   * comes while nobody listens is dropped: register handlers right after the
   * client is made to miss nothing.
   *
   * @throws TypeError for a name that starts with `dialogue:`, or that Socket.IO keeps for itself, such as `connect`.
   */
  readonly on: OnDirect<C>;

  /** Calls a handler whenever a room is created that this client may see, by itself too. */
  onRoomCreated(handler: Handler<[room: RoomInfo]>): Unsubscribe;

  /**
   * Calls a handler whenever a room is deleted that this client may see, or was
   * in. If it was, the room is by then one that was left: it receives nothing
   * more and is not joined again.
   */
  onRoomDeleted(handler: Handler<[roomId: string]>): Unsubscribe;

  /**
   * Calls a handler with the events of the past that a join has brought, newest
   * first: those that are the room's `history` from then on, before `join`
   * resolves. A join that brings none does not call it.
   */
  onHistory(handler: Handler<[roomId: string, events: EventMessage[]]>): Unsubscribe;

  /**
   * Calls a handler where the server's contract is another one than the option
   * `contract` says, with its hash, on each connection: the page is older, or
   * newer, than the server.
   */
  onContractChanged(handler: Handler<[hash: string]>): Unsubscribe;

  /** Calls a handler whenever {@link state} or {@link error} is another. */
  onState(handler: Handler<[state: ConnectionState, error: DialogueError | undefined]>): Unsubscribe;

  /** Calls a handler whenever the client is connected: after a reconnection, once the rooms are joined again. */
  onConnect(handler: Handler<[]>): Unsubscribe;

  /**
   * Calls a handler whenever a connection is lost or closed, with Socket.IO's
   * reason: `"transport close"`, `"ping timeout"`, `"io client disconnect"` and so on.
   */
  onDisconnect(handler: Handler<[reason: string]>): Unsubscribe;

  /**
   * Calls a handler for each failure that may have no other reader: of
   * `connect`, `trigger`, `subscribe`, `unsubscribe` and `leave`, whether
   * awaited or not; of a reconnection or a room that the server refuses; and
   * what the server reports unasked. With no handler at all, these errors are
   * written to the console.
   */
  onError(handler: Handler<[error: DialogueError]>): Unsubscribe;
}
