import type { AnyRoomContract, Contract, EventName, MessageOf, RoomContract, RoomPattern, TriggerName } from "./contract.js";
import type { DialogueError } from "./error.js";
import type { Epoch, EventMessage } from "./event-message.js";
import type { Handler, Unsubscribe } from "./handlers.js";
import type { HistoryPage, HistoryRange } from "./history.js";
import type { RoomState } from "./room-state.js";

/** What the server says of a triggered event: where it stands in the room's log. Empty if the event is not stored. */
export interface Receipt {
  /** The lifetime of the room's log. */
  readonly epoch?: Epoch;
  /** The event's position in it. */
  readonly seq?: number;
  /**
   * Set if the server had already stored the event under this key: from another
   * trigger, or from this one, if its first answer was lost and the client sent
   * it again.
   */
  readonly duplicate?: true;
}

/** How to trigger an event. */
export interface TriggerOptions {
  /**
   * The idempotency key of a stored event, 1 to 128 bytes. For two minutes, the
   * server stores one event for each key of a user in a room. An app that triggers
   * the same event again by itself gives the same key. Default: a random one.
   */
  readonly key?: string | undefined;
  /** How long the trigger may take, in milliseconds. Default: the client's `triggerTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Gives the trigger up. If it was sent, the event may have been triggered. */
  readonly signal?: AbortSignal | undefined;
}

/** What a trigger takes besides the event's name. The payload of a unit event may be left out. */
export type TriggerArguments<Payload> = null extends Payload
  ? [data?: Payload, meta?: Readonly<Record<string, unknown>>, options?: TriggerOptions]
  : [data: Payload, meta?: Readonly<Record<string, unknown>>, options?: TriggerOptions];

/** How to iterate over events. */
export interface EventsOptions {
  /** Ends the iteration, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A room that this client has joined.
 *
 * `trigger`, `subscribe`, `subscribeAll`, `unsubscribe` and `leave` may be
 * called without awaiting them: a failure always reaches the client's `onError`,
 * and is never an unhandled rejection. While a lost connection is being opened
 * again, triggers wait, in order, and the others fail with `DISCONNECTED`; while
 * the room is being joined again, all wait.
 *
 * Stored events are handed to handlers exactly once and in the order of their
 * `seq`, across lost connections too, as long as the server can tell what was
 * missed; {@link onReset} says where it cannot. Ephemeral events come at most
 * once.
 */
export interface TypedRoom<R extends RoomContract> {
  /** The room's id. */
  readonly roomId: string;
  /** The room's name, for people. */
  readonly roomName: string;
  /**
   * The newest stored events that this client has received, newest first: those
   * that came with the join, and those that came since, up to 100, or as many as
   * came with the join if that is more. When {@link onReset} is called, these are the events
   * of the new join. A handler is not called for events that were in here when it was
   * registered. Each event makes a new array.
   */
  readonly history: readonly MessageOf<R>[];

  /** The events that this client receives, as the server said last. `"*"` is all of them, where a room lists none. */
  readonly subscriptions: readonly (EventName<R> | "*")[];

  /** Whether the client is in the room. */
  readonly state: RoomState;

  /**
   * Calls a handler with each new {@link state}; where it is `"denied"`, with the
   * server's refusal, and where it is `"left"` since the server has ended the
   * connection, with that.
   */
  onState(handler: Handler<[state: RoomState, refusal?: DialogueError]>): Unsubscribe;

  /**
   * Calls a handler when events may be missing: the room has another log, the server
   * does not keep all that was missed, or more events are missing than the client
   * fetches and the server replays. The client fetches up to 10,000; then it joins
   * the room again, and the server replays up to 1,000, or 256 KB. By then `history` holds the events of the new join. Handlers get the
   * events after those.
   */
  onReset(handler: Handler<[]>): Unsubscribe;

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
   * Iterates over the events of one name, from this call on:
   * `for await (const message of room.events("message")) { .. }`.
   *
   * It ends when the room is left. As many as 1,000 events wait for a slow
   * consumer; one more, and the iteration throws `LIMIT_EXCEEDED` after them, so
   * that none is missing unnoticed: read on with {@link getHistory} after the
   * last one's `seq`, and iterate anew. For the same reason it throws `MISSED`
   * where {@link onReset} is called and events of that name were missed.
   */
  events<E extends EventName<R>>(event: E, options?: EventsOptions): AsyncIterableIterator<MessageOf<R, E>>;

  /**
   * Triggers an event, with `meta` beside its payload if given.
   *
   * While the client is not in the room, triggers wait, in order. A trigger that
   * the server refuses for now (`RATE_LIMITED`, `STORE_UNAVAILABLE`, `DRAINING`) is
   * sent again; triggers that were sent behind it may come before it then. An
   * ephemeral event that is `RATE_LIMITED` fails instead: it would come after newer
   * ones. Where the answer is lost, a stored event is sent again, and the server
   * stores it once. An ephemeral event fails: sent again, it might come twice.
   *
   * @returns When the server has accepted the event, and stored it if it has a history.
   * @throws DialogueError `VALIDATION_FAILED` with its issues; `EVENT_NOT_ALLOWED`, `EVENT_DENIED`, `NOT_IN_ROOM`;
   * `INVALID_REQUEST` for a payload that JSON cannot hold, such as a `Map`, `NaN` or a `Uint8Array`, and `TOO_LARGE`
   * for one that is longer than the server takes: neither is sent; `LIMIT_EXCEEDED` where too many wait; the server's
   * refusal for now, if it still refuses after `triggerTimeoutMs`. After `TIMEOUT` and `DISCONNECTED`, the event may
   * have been triggered or not.
   */
  trigger<E extends TriggerName<R>>(event: E, ...args: TriggerArguments<R["triggers"][E]>): Promise<Receipt>;

  /**
   * Receives one more event from the server's answer on.
   *
   * @throws DialogueError `EVENT_NOT_ALLOWED` if the room does not have the event.
   */
  subscribe(event: EventName<R>): Promise<void>;

  /** Receives every event of the room from now on. */
  subscribeAll(): Promise<void>;

  /**
   * Stops receiving an event. From then on, the client joins the room after a lost connection with the events that are
   * left, and not with the room's defaults.
   */
  unsubscribe(event: EventName<R>): Promise<void>;

  /** A page of stored events of one name: `{ before: seq, limit: 20 }`, `{ after: seq }` or `{ start: 0, end: 20 }`. */
  getHistory<E extends EventName<R>>(event: E, range: HistoryRange): Promise<HistoryPage<MessageOf<R, E>>>;

  /**
   * Stored events of one name, newest first: those from `start`, counted from
   * the newest, up to but without `end`. The server may cut a long page.
   */
  getHistory<E extends EventName<R>>(event: E, start?: number, end?: number): Promise<MessageOf<R, E>[]>;

  /**
   * Undoes one `join` of this room: call it once for each. The last call leaves
   * the room and drops its handlers, and resolves when the server has answered. It
   * also resolves if the client was not in the room any more. To come back, join
   * the room again, which gives a new object.
   *
   * Requests about different rooms have no order among themselves. Await this
   * before the join of another room where the order matters, as in a game whose
   * players are in one room at a time.
   */
  leave(): Promise<void>;
}

/** What a room offers besides {@link TypedRoom} where its events are not known: the caller names the types of payloads, which are not checked. */
export interface OpenRoom {
  /** Calls a handler for each event of one name. The payload is typed as `T`, which is not checked. */
  on<T>(event: string, handler: Handler<[message: EventMessage<T>]>): Unsubscribe;

  /** A page of stored events of one name, with payloads that are taken to be a `T`. */
  getHistory<T>(event: string, range: HistoryRange): Promise<HistoryPage<EventMessage<T>>>;

  /** Stored events of one name, newest first, with payloads that are taken to be a `T`. */
  getHistory<T>(event: string, start?: number, end?: number): Promise<EventMessage<T>[]>;

  /** Iterates over the events of one name, with payloads that are taken to be a `T`. */
  events<T>(event: string, options?: EventsOptions): AsyncIterableIterator<EventMessage<T>>;
}

/** A joined room, typed by its contract. */
export type Room<R extends RoomContract = AnyRoomContract> = TypedRoom<R> &
  (string extends EventName<R> ? OpenRoom : unknown);

/** The room that a contract says an id or pattern is; one of several, where it is one of several. */
export type RoomOf<C extends Contract, P extends RoomPattern<C>> = { [Q in P]: Room<C["rooms"][Q]> }[P];
