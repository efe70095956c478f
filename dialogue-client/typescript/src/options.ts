import type { Transport } from "./transports.js";

/**
 * The credentials of a client: a value, or a function that returns it. The client
 * calls the function for each connection, so that a reconnection sends fresh ones.
 *
 * Only with a function does the client send new credentials before they expire,
 * and connect again by itself when they have expired.
 */
export type Auth = Credentials | (() => Credentials | Promise<Credentials>);

/** An object with any fields that JSON can hold. Not a function, and not a promise. */
export interface Credentials {
  // Not `unknown`, to which interfaces and classes are not assignable.
  readonly [field: string]: any;
  readonly [Symbol.hasInstance]?: never;
  readonly then?: never;
}

/** How a client reaches its server. */
export interface DialogueClientOptions {
  /**
   * The server's origin: `http://`, `https://`, `ws://` or `wss://`, without a
   * path. Default in a browser: the page's own origin; needed elsewhere.
   */
  readonly url?: string | undefined;
  /**
   * The credentials. Maximum 65,498 bytes as JSON, or less if the server's limit is lower. Longer ones are not sent, and
   * the client is `"disconnected"` with the error `TOO_LARGE`. Default: none.
   */
  readonly auth?: Auth | undefined;
  /**
   * Whether the client connects when it is made, and keeps trying as after a lost
   * connection. Otherwise it waits for `connect()` or `open()`. Default: true.
   */
  readonly autoConnect?: boolean | undefined;
  /**
   * The hash of the contract that this client's types were made from.
   * `onContractChanged` says where the server's contract has another one.
   * Default: none, and it is never called.
   */
  readonly contract?: string | undefined;
  /**
   * The path of Socket.IO: what the server's `Builder::path` says, after the prefix of the router or proxy that it
   * is behind, such as `"/app/socket.io"`. Default: `"/socket.io"`.
   */
  readonly path?: string | undefined;
  /**
   * The transports to try on each connection, in order: the next one where one
   * cannot be opened, or nothing comes over it within its part of `timeoutMs`.
   * With polling before WebSocket, the connection is upgraded once it is open.
   * Default: WebSocket, then polling.
   */
  readonly transports?: readonly Transport[] | undefined;
  /**
   * Whether requests of polling to another origin carry cookies and take them, as
   * far as the server's `Cors` lets them. Browsers send cookies with a WebSocket
   * in any case. Default: false.
   */
  readonly withCredentials?: boolean | undefined;
  /**
   * How long to wait for the first connection, for `auth`, and for each answer,
   * in milliseconds; then the error is `TIMEOUT`. A room that is joined again, and
   * missing events, are asked for once more then, with twice the time, up to eight
   * times as much. Default: 10,000.
   */
  readonly timeoutMs?: number | undefined;
  /** Whether a lost connection is opened again. Default: true. */
  readonly reconnection?: boolean | undefined;
  /**
   * How many attempts to connect in a row may fail before the client gives up.
   * Attempts that the server refuses count, and those for which `auth` fails.
   * Default: unlimited.
   */
  readonly reconnectionAttempts?: number | undefined;
  /** The delay before the first attempt to reconnect, in milliseconds, with half of it as jitter. Default: 1,000. */
  readonly reconnectionDelayMs?: number | undefined;
  /** The longest delay before an attempt, in milliseconds: each one is longer than the one before, up to this. Default: 5,000. */
  readonly reconnectionDelayMaxMs?: number | undefined;
  /**
   * How long a trigger may take, in milliseconds, including the wait for a
   * connection and every retry. Then it fails with
   * `TIMEOUT`, or with the server's last refusal of it.
   * Default: 30,000. At most 100,000: the server knows a key for two minutes.
   */
  readonly triggerTimeoutMs?: number | undefined;
  /** How many triggers of one room may wait for their answers; more fail with `LIMIT_EXCEEDED`. Default: 1,000. */
  readonly outboxSize?: number | undefined;
}
