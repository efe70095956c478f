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
}

/** How to trigger an event. */
export interface TriggerOptions {
  /**
   * What tells this trigger from others of the same user and room, for two
   * minutes, where the event is stored: 1 to 128 bytes. An app that makes it again
   * by itself gives the same. Default: a random one.
   */
  readonly key?: string | undefined;
  /** How long it may take in all, in milliseconds. Default: the client's `triggerTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Gives it up. What was sent may have been triggered. */
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
   * The events that came with the join, newest first; empty where the room
   * sends none. They stay what they are unless {@link onReset} is called: then
   * they are those of the new join. What is in here is not handed to handlers as
   * well.
   */
  readonly history: readonly MessageOf<R>[];

  /** The events that this client receives, as the server said last. `"*"` is all of them, where a room lists none. */
  readonly subscriptions: readonly (EventName<R> | "*")[];

  /** How far the client is in the room. */
  readonly state: RoomState;

  /** Calls a handler with each new {@link state}; where it is `"denied"`, with the server's refusal. */
  onState(handler: Handler<[state: RoomState, refusal?: DialogueError]>): Unsubscribe;

  /**
   * Calls a handler when the room starts anew, since the server cannot tell all
   * that was missed: its log is another one, or goes back less far. By then
   * `history` is that of the new join; what comes later is handed to handlers.
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
   * where {@link onReset} is called, unless the events are ephemeral.
   */
  events<E extends EventName<R>>(event: E, options?: EventsOptions): AsyncIterableIterator<MessageOf<R, E>>;

  /**
   * Triggers an event, with `meta` beside its payload if given.
   *
   * It waits, in order, while the client is not in the room, and is sent again
   * where the server refuses for now (`RATE_LIMITED`, `STORE_UNAVAILABLE`,
   * `DRAINING`): then what was sent behind it may come before it. Where its answer is lost, it is sent again if the event is stored,
   * which the server does but once. An ephemeral one would be doubled, and fails.
   *
   * @returns Once the server has validated and, where the event has a history, stored it.
   * @throws DialogueError `VALIDATION_FAILED` with its issues, `EVENT_NOT_ALLOWED`, `EVENT_DENIED`, `NOT_IN_ROOM`;
   * `LIMIT_EXCEEDED` where too many wait; what the server refuses for now, if it still does at the end of
   * `triggerTimeoutMs`; with `TIMEOUT` and `DISCONNECTED`, the event may have been triggered or not.
   */
  trigger<E extends TriggerName<R>>(event: E, ...args: TriggerArguments<R["triggers"][E]>): Promise<Receipt>;

  /** Receives one more event from the server's answer on. */
  subscribe(event: EventName<R>): Promise<void>;

  /** Receives every event of the room from now on. */
  subscribeAll(): Promise<void>;

  /** Receives an event no longer. */
  unsubscribe(event: EventName<R>): Promise<void>;

  /** A page of stored events of one name: `{ before: seq, limit: 20 }`, `{ after: seq }` or `{ start: 0, end: 20 }`. */
  getHistory<E extends EventName<R>>(event: E, range: HistoryRange): Promise<HistoryPage<MessageOf<R, E>>>;

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
