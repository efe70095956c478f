import type { EventMessage } from "./event-message.js";
import type { Handler, Unsubscribe } from "./handlers.js";
import type { ParameterName } from "./pattern.js";

/**
 * What one room, or one family of rooms, carries: payload types by event name.
 *
 * A unit event's payload is `null`. An event that only the server triggers
 * stands in `events` alone.
 */
export interface RoomContract {
  /** What a client may trigger. */
  readonly triggers: object;
  /** What a client may receive, including what other clients trigger. */
  readonly events: object;
}

/**
 * What a server offers: its rooms by id, and its families of rooms by pattern.
 *
 * In a pattern, each whole segment between colons that is written in braces is
 * a parameter: `"doc:{documentId}"`.
 *
 * @example
 * ```ts
 * interface Chat {
 *   rooms: {
 *     general: {
 *       triggers: { message: { text: string }; typing: { isTyping: boolean } };
 *       events: { message: { text: string }; typing: { isTyping: boolean }; "user:left": { userId: string } };
 *     };
 *     "doc:{documentId}": { triggers: { edited: Edit }; events: { edited: Edit } };
 *   };
 * }
 *
 * const client = createDialogueClient<Chat>({ url: "http://localhost:3000" });
 * ```
 */
export interface Contract {
  /** Each room's contract, by its id or pattern. */
  readonly rooms: { readonly [pattern: string]: RoomContract };
  /** What the server sends to one client alone, outside any room: payload types by event name. Absent: not known. */
  readonly direct?: object;
}

/** A room of which nothing is known: any event, payloads `unknown`. */
export interface AnyRoomContract extends RoomContract {
  /** Any event, with any payload. */
  readonly triggers: { readonly [event: string]: unknown };
  /** Any event; its payload is to be checked by whoever reads it. */
  readonly events: { readonly [event: string]: unknown };
}

/** A server of which nothing is known: any room, any event, payloads `unknown`. */
export interface AnyContract extends Contract {
  /** Any room. */
  readonly rooms: { readonly [pattern: string]: AnyRoomContract };
}

/** The room ids and patterns of a contract. */
export type RoomPattern<C extends Contract> = keyof C["rooms"] & string;

/** The ids of a contract's rooms, without its families. */
export type RoomId<C extends Contract> = {
  [P in RoomPattern<C>]: [ParameterName<P>] extends [never] ? P : never;
}[RoomPattern<C>];

/** The events that a client may receive in a room. */
export type EventName<R extends RoomContract> = keyof R["events"] & string;

/** The events that a client may trigger in a room. */
export type TriggerName<R extends RoomContract> = keyof R["triggers"] & string;

/** The message that carries event `E` of a room. */
export type MessageOf<R extends RoomContract, E extends EventName<R> = EventName<R>> = {
  [Name in E]: EventMessage<R["events"][Name], Name>;
}[E];

/** Registers a handler of what the server sends to this client alone: the contract's events, or any where it names none. */
export type OnDirect<C extends Contract> = C extends { readonly direct: infer Direct extends object }
  ? <E extends keyof Direct & string>(event: E, handler: Handler<[payload: Direct[E]]>) => Unsubscribe
  : <Payload = unknown>(event: string, handler: Handler<[payload: Payload]>) => Unsubscribe;
