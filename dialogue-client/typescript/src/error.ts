/**
 * Why something failed: a code of the server, or one of the client's own:
 *
 * - `TIMEOUT`: no answer came in time. The request may have been handled or not.
 * - `DISCONNECTED`: there is no connection, or it was lost before the answer came.
 * - `TOO_LARGE`: the message is longer than the server takes, and was not sent.
 * - `MISSED`: an iteration ends, because the server no longer keeps stored events that were missed.
 *
 * `INTERNAL` is a failure in the server, or something from the server that the
 * client does not understand, which is the `cause` then.
 *
 * Codes that this version does not know pass through as they are.
 */
export type ErrorCode =
  | "INVALID_REQUEST"
  | "ROOM_NOT_FOUND"
  | "ROOM_FULL"
  | "ROOM_EXISTS"
  | "JOIN_DENIED"
  | "NOT_IN_ROOM"
  | "EVENT_NOT_ALLOWED"
  | "VALIDATION_FAILED"
  | "EVENT_DENIED"
  | "RATE_LIMITED"
  | "LIMIT_EXCEEDED"
  | "PERMISSION_DENIED"
  | "UNAUTHENTICATED"
  | "TOKEN_EXPIRED"
  | "KEY_CONFLICT"
  | "STORE_UNAVAILABLE"
  | "DRAINING"
  | "INTERNAL"
  | "TIMEOUT"
  | "DISCONNECTED"
  | "TOO_LARGE"
  | "MISSED"
  | (string & {});

/** One thing that is wrong with a payload. */
export interface Issue {
  /** The field, in the names of the wire: `"text"`, `"author.name"`. Empty for the payload itself. */
  readonly path: string;
  /** The rule that is broken, for programs: `"length"`. */
  readonly code: string;
  /** The same, for people. */
  readonly message: string;
  /** The rule's own values, such as `min` and `max`; never the refused value. */
  readonly params: Readonly<Record<string, unknown>>;
}

/** What a {@link DialogueError} knows besides its code and message. */
export interface ErrorDetails {
  /** The room concerned. */
  readonly roomId?: string | undefined;
  /** The event concerned. */
  readonly event?: string | undefined;
  /** What is wrong with the payload, for `VALIDATION_FAILED`. */
  readonly issues?: readonly Issue[] | undefined;
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** How long the message is, in bytes, for `TOO_LARGE`. */
  readonly size?: number | undefined;
  /** How long it may be, in bytes, for `TOO_LARGE`. */
  readonly limit?: number | undefined;
  /** The error below this one. */
  readonly cause?: unknown;
}

/** Every failure that this package reports. */
export class DialogueError extends Error {
  override readonly name = "DialogueError";
  /** Why, for programs. */
  declare readonly code: ErrorCode;
  /** The room concerned, if it is about one. */
  declare readonly roomId?: string;
  /** The event concerned, if it is about one. */
  declare readonly event?: string;
  /** What is wrong with the payload, for `VALIDATION_FAILED`. */
  declare readonly issues?: readonly Issue[];
  /** How long to wait before trying again, in milliseconds, where the server says. */
  declare readonly retryAfterMs?: number;
  /** How long the message is, in bytes, for `TOO_LARGE`. */
  declare readonly size?: number;
  /** How long it may be, in bytes, for `TOO_LARGE`. */
  declare readonly limit?: number;

  /** Makes an error. The client makes those that it reports; tests and wrappers may make others. */
  constructor(code: ErrorCode, message: string, { cause, ...details }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    // What is not known is no field at all, for whoever prints the error.
    for (const [name, value] of Object.entries(details)) {
      if (value !== undefined) (this as Record<string, unknown>)[name] = value;
    }
  }
}
