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
  /** `"connecting"` from `connect()` or `open()` on, and again while a lost connection is being opened. */
  readonly state: ConnectionState;

  /**
   * The last failure outside any room since the client last connected or
   * authenticated. Where the client is not connected, this is why. While no
   * connection can be opened, it is `DISCONNECTED`, or over polling what the server
   * says, such as `LIMIT_EXCEEDED` with `retryAfterMs`. The client keeps trying then,
   * after its own delays, and `onError` is not called.
   */
  readonly error: DialogueError | undefined;

  /**
   * Connects to the server, and resolves when the client is connected; at once if
   * it is already. The first connection has one attempt: if that fails, the client
   * is `"disconnected"`, and the app may call this again. A client that connects by
   * itself, or by {@link open}, keeps trying instead.
   *
   * The client opens a lost connection again by itself, with growing delays. It
   * joins its rooms again with what the app asked for: the room's defaults,
   * whatever they are by then, or the events that were named. {@link onConnect}
   * says when. It does not come back after the server has closed the connection on
   * purpose or has refused the credentials. Where they have expired, it comes back
   * if `auth` is a function, which it calls for fresh ones.
   *
   * May be called without awaiting it: a failure also reaches {@link onError},
   * unless the cause is `disconnect()`, and is never an unhandled rejection.
   *
   * @throws DialogueError `UNAUTHENTICATED` and other refusals of the server; `DISCONNECTED` if the server cannot be
   * reached, or `disconnect()` comes first; `TIMEOUT`; `TOO_LARGE` for credentials that are longer than the server takes. With a `signal` that is aborted, its reason: a first attempt is
   * given up then, for whoever waits for it.
   */
  connect(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  /**
   * Connects, and keeps trying until the server refuses the credentials, as a
   * client does by itself unless the option `autoConnect` is false. Does nothing if
   * the client is connected or connecting.
   */
  open(): void;

  /** Leaves every room, closes the connection, and stops any attempt to open it. */
  disconnect(): void;

  /**
   * Sends new credentials of the same user on the open connection. The server
   * closes a connection whose credentials have expired.
   *
   * Where `auth` is a function, the client calls it and sends what it returns by
   * itself before the credentials expire: when a quarter of the time is left that
   * they last, or a minute if that is less. It counts that time from the server's
   * answer, whatever the device's clock says. From one renewal to the next it
   * waits a second or more.
   *
   * @param auth What to send, now and on later connections, in place of the options' `auth`; what the server refuses is
   * not kept. Without a connection it is for the next one. Default: the options' `auth`, asked again if it is a function.
   * @returns When these credentials expire: `expiresAt` by the server's clock, in milliseconds since the Unix epoch, and
   * `expiresInMs` from the answer on, in milliseconds. Neither is there if they do not expire.
   * @throws DialogueError `UNAUTHENTICATED` if they are refused, are another user's, or cannot be had; `TOKEN_EXPIRED`;
   * `TOO_LARGE` if they have more than 65,498 bytes as JSON, or more than the server's limit: they are not sent, since
   * they could not open the next connection; `RATE_LIMITED`; `DISCONNECTED`; `TIMEOUT`.
   */
  authenticate(auth?: Auth): Promise<{ readonly expiresAt?: number; readonly expiresInMs?: number }>;

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
   * While the client is connecting, this waits until it is connected. Each join of
   * a room gives the same object, whatever the options; the room is left when it is
   * left as often as it was joined. Events that arrive during the join are held,
   * and handed to handlers in the macrotask after it: handlers that are registered
   * right after `await client.join(..)` miss nothing.
   *
   * @throws DialogueError `ROOM_NOT_FOUND`, `JOIN_DENIED`, `ROOM_FULL` and other refusals; `INVALID_REQUEST` for a
   * parameter that is missing or empty; `DISCONNECTED`; `TIMEOUT`. With a `signal` that is aborted, its reason.
   */
  join<P extends RoomPattern<C>>(room: P, ...args: JoinArguments<P, C["rooms"][P]>): Promise<RoomOf<C, P>>;

  /**
   * Joins a room by its id: one that was created at run time, or a room of a
   * family. The type argument says which events it has; without one, any event may
   * be named, and payloads are `unknown`.
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

  /** The same for an id that the contract does not name: its events are not typed. */
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
   * Creates a room, if the app on the server lets this client. The app decides which
   * events the room has. The client is not in it until it joins.
   *
   * @throws DialogueError `PERMISSION_DENIED`; `ROOM_EXISTS`; `LIMIT_EXCEEDED` if the user has created as many rooms as
   * it may; `INVALID_REQUEST` for an id, name or description that no room may have; `DISCONNECTED`; `TIMEOUT`.
   */
  createRoom(options: CreateRoomOptions): Promise<RoomInfo>;

  /**
   * Deletes a room that this client's user has created, with its events. It has no
   * members any more.
   *
   * @throws DialogueError `PERMISSION_DENIED`; `ROOM_NOT_FOUND`; `DISCONNECTED`; `TIMEOUT`.
   */
  deleteRoom(roomId: string): Promise<void>;

  /**
   * Calls a handler for each event of one name that the server sends to this
   * client alone, outside any room. Where the contract does not list such events,
   * the caller names the type of the payload: `on<Payload>(..)`, which is not
   * checked. An event without a handler is dropped: register handlers right after
   * the client is made to miss nothing.
   *
   * @throws TypeError for a name that starts with `dialogue:`, or that Socket.IO keeps for itself, such as `connect`.
   */
  readonly on: OnDirect<C>;

  /** Calls a handler whenever a room is created that this client may see, its own included. */
  onRoomCreated(handler: Handler<[room: RoomInfo]>): Unsubscribe;

  /**
   * Calls a handler whenever a room is deleted that this client may see, or was
   * in. If it was, the room is by then one that was left: it receives nothing
   * more and is not joined again.
   */
  onRoomDeleted(handler: Handler<[roomId: string]>): Unsubscribe;

  /**
   * Calls a handler with the past events that a join has brought, newest first,
   * before `join` resolves. They are the room's `history` from then on. A join that
   * brings none does not call it.
   */
  onHistory(handler: Handler<[roomId: string, events: EventMessage[]]>): Unsubscribe;

  /**
   * Calls a handler on each connection to a server whose contract has another hash
   * than the option `contract`, with that hash: the page is older, or newer, than
   * the server.
   */
  onContractChanged(handler: Handler<[hash: string]>): Unsubscribe;

  /** Calls a handler whenever {@link state} or {@link error} changes. */
  onState(handler: Handler<[state: ConnectionState, error: DialogueError | undefined]>): Unsubscribe;

  /** Calls a handler whenever the client is connected: after a reconnection, once the rooms are joined again. */
  onConnect(handler: Handler<[]>): Unsubscribe;

  /**
   * Calls a handler whenever a connection is lost or closed, with Socket.IO's
   * reason: `"transport close"`, `"ping timeout"`, `"io client disconnect"` and so on.
   */
  onDisconnect(handler: Handler<[reason: string]>): Unsubscribe;

  /**
   * Calls a handler for each failure of `connect`, `trigger`, `subscribe`,
   * `unsubscribe` and `leave`, whether the app awaits them or not; for a
   * reconnection or a room that the server refuses; for an event that a join names
   * and the room does not have (`EVENT_NOT_ALLOWED`); and for what the server
   * reports by itself. With no handler, these errors are written to the console.
   */
  onError(handler: Handler<[error: DialogueError]>): Unsubscribe;
}
