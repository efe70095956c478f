/**
 * The lifetime of a room's log, as an opaque value: compare it for equality only.
 *
 * `seq` counts within one epoch; a new epoch says that continuity with the
 * earlier log cannot be proven.
 */
export type Epoch = string | number;

/** One event as a room delivers it: `T` is its payload, `E` its name. */
export interface EventMessage<T = unknown, E extends string = string> {
  /** The event's name. */
  readonly event: E;
  /** The room in which it was triggered. */
  readonly roomId: string;
  /** The payload, as the server validated it. */
  readonly data: T;
  /** The proven user id of the sender; `"system"`, or another name that the server's code gives, for an event of the server. */
  readonly from: string;
  /** When the server accepted it, in milliseconds since the Unix epoch. It says nothing about the order: use `seq`. */
  readonly timestamp: number;
  /** What the sender attached beside the payload. */
  readonly meta?: Readonly<Record<string, unknown>>;
  /** The message's own id, where the server gave it one. */
  readonly id?: string;
  /** The lifetime of the room's log; on stored events only. */
  readonly epoch?: Epoch;
  /** The position in the room's log, counting up by one; on stored events only. */
  readonly seq?: number;
  /** The `seq` of the room's previous stored event of the same name, 0 if none; on stored events only. */
  readonly prev?: number;
}
