import type { ConnectionState } from "./connection-state.js";
import type { AnyContract, Contract, RoomPattern } from "./contract.js";
import type { DialogueError } from "./error.js";
import type { Handler, Unsubscribe } from "./handlers.js";
import type { JoinArguments } from "./join-arguments.js";
import type { Room } from "./room.js";
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
   * Connects to the server; nothing does so before. Resolves at once if the
   * client is connected.
   *
   * If this first attempt fails, the client is `"disconnected"` and may be told
   * to connect again. A connection that is lost later is opened again by itself,
   * with growing delays, and the joined rooms are joined again with the same
   * subscriptions; {@link onConnect} says when. It is not opened again after the
   * server has closed it on purpose, or refuses the credentials.
   *
   * May be called without awaiting it: a failure also reaches {@link onError},
   * and is never an unhandled rejection.
   *
   * @throws DialogueError `UNAUTHENTICATED` and other refusals of the server; `DISCONNECTED` if the server cannot be
   * reached, or `disconnect()` comes first; `TIMEOUT`.
   */
  connect(): Promise<void>;

  /** Leaves every room, closes the connection, and stops any attempt to open it. */
  disconnect(): void;

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
   * A room that is joined already, or being joined, is given as it is, whatever
   * the options. Events that come in during the join are held, and handed over
   * in the macrotask after it: handlers that are registered right after
   * `await client.join(..)` miss nothing.
   *
   * @throws DialogueError `ROOM_NOT_FOUND`, `JOIN_DENIED`, `ROOM_FULL` and other refusals; `INVALID_REQUEST` for a
   * parameter that is missing or empty; `DISCONNECTED`; `TIMEOUT`.
   */
  join<P extends RoomPattern<C>>(room: P, ...args: JoinArguments<P, C["rooms"][P]>): Promise<Room<C["rooms"][P]>>;

  /**
   * The rooms that this client may see.
   *
   * @throws DialogueError `DISCONNECTED`, `TIMEOUT` and refusals of the server.
   */
  listRooms(): Promise<RoomInfo[]>;

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
