import type { AnyRoomContract, EventName, MessageOf, RoomContract, TriggerName } from "./contract.js";
import type { Epoch, EventMessage } from "./event-message.js";
import type { Handler, Unsubscribe } from "./handlers.js";

/** What the server says of a triggered event: where it stands in the room's log. Empty if the event is not stored. */
export interface Receipt {
  /** The lifetime of the room's log. */
  readonly epoch?: Epoch;
  /** The event's position in it. */
  readonly seq?: number;
}

/** What a trigger takes besides the event's name. The payload of a unit event may be left out. */
export type TriggerArguments<Payload> = null extends Payload
  ? [data?: Payload, meta?: Readonly<Record<string, unknown>>]
  : [data: Payload, meta?: Readonly<Record<string, unknown>>];

/**
 * A room that this client has joined.
 *
 * `trigger`, `subscribe`, `subscribeAll`, `unsubscribe` and `leave` may be
 * called without awaiting them: a failure always reaches the client's `onError`,
 * and is never an unhandled rejection. After a reconnection they wait until the
 * room is joined again; while there is no connection they fail with
 * `DISCONNECTED`.
 */
export interface TypedRoom<R extends RoomContract> {
  /** The room's id. */
  readonly roomId: string;
  /** The room's name, for people. */
  readonly roomName: string;
  /**
   * The events that came with the latest join, newest first; empty where the
   * room sends none. After a reconnection they are those of the new join. What
   * is in here is not handed to handlers as well.
   */
  readonly history: readonly MessageOf<R>[];

  /**
   * Calls a handler for each event of one name. Register it without waiting for
   * anything but promises after the join: what arrives earlier is held until
   * the next macrotask.
   */
  on<E extends EventName<R>>(event: E, handler: Handler<[message: MessageOf<R, E>]>): Unsubscribe;

  /**
   * Calls a handler for every event of the room that is subscribed to, after
   * those of {@link on}. `message.event` narrows the message's payload.
   */
  onAny(handler: Handler<[event: EventName<R>, message: MessageOf<R>]>): Unsubscribe;

  /**
   * Triggers an event, with `meta` beside its payload if given.
   *
   * @returns Once the server has validated and, where the event has a history, stored it.
   * @throws DialogueError `VALIDATION_FAILED` with its issues, `EVENT_NOT_ALLOWED`, `EVENT_DENIED`, `NOT_IN_ROOM`,
   * `RATE_LIMITED`; with `TIMEOUT` and with `DISCONNECTED` during the request, the event may have been triggered or not.
   */
  trigger<E extends TriggerName<R>>(event: E, ...args: TriggerArguments<R["triggers"][E]>): Promise<Receipt>;

  /** Receives one more event from now on. */
  subscribe(event: EventName<R>): Promise<void>;

  /** Receives every event of the room from now on. */
  subscribeAll(): Promise<void>;

  /** Receives an event no longer. */
  unsubscribe(event: EventName<R>): Promise<void>;

  /**
   * Stored events of one name, newest first: those from `start`, counted from
   * the newest, up to but without `end`. The server may cut a long page.
   */
  getHistory<E extends EventName<R>>(event: E, start?: number, end?: number): Promise<MessageOf<R, E>[]>;

  /**
   * Leaves the room and drops its handlers. To come back, join it again, which
   * gives a new room. Resolves if the client was not in the room any more.
   */
  leave(): Promise<void>;
}

/** What a room offers besides {@link TypedRoom} where its events are not known: payload types that the caller names. */
export interface OpenRoom {
  /** Calls a handler for each event of one name, with a payload that is taken to be a `T`. */
  on<T>(event: string, handler: Handler<[message: EventMessage<T>]>): Unsubscribe;

  /** Stored events of one name, newest first, with payloads that are taken to be a `T`. */
  getHistory<T>(event: string, start?: number, end?: number): Promise<EventMessage<T>[]>;
}

/** A joined room, typed by its contract. */
export type Room<R extends RoomContract = AnyRoomContract> = TypedRoom<R> &
  (string extends EventName<R> ? OpenRoom : unknown);
