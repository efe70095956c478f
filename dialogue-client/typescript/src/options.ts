/**
 * What a client sends as its credentials: a value, or a function that gives it,
 * run on each connection so that a reconnection carries fresh ones. Only with a
 * function does a client renew credentials before they expire, where the server
 * has said when that is, and connect again by itself where they have expired.
 */
export type Auth = Credentials | (() => Credentials | Promise<Credentials>);

/** An object of any fields, but no function and no promise. */
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
  /** The credentials. Default: none. */
  readonly auth?: Auth | undefined;
  /**
   * Whether to connect without being told to by `connect()`, and to keep trying
   * as after a lost connection. Default: true.
   */
  readonly autoConnect?: boolean | undefined;
  /**
   * The hash of the contract that this client's types were made from: a server
   * whose contract is another says so to `onContractChanged`. Default: none.
   */
  readonly contract?: string | undefined;
  /** The path of the server's Socket.IO endpoint, for one behind a prefix. Default: `"/socket.io"`. */
  readonly path?: string | undefined;
  /** The transports to use, in order. Default: polling, then an upgrade to WebSocket. */
  readonly transports?: readonly ("polling" | "websocket")[] | undefined;
  /**
   * How long to wait for the first connection, for `auth`, and for each answer,
   * in milliseconds; then the error is `TIMEOUT`. An attempt to connect by
   * WebSocket alone that is cut off before the server's first word is given up
   * after this time, too. Default: 10,000.
   */
  readonly timeoutMs?: number | undefined;
  /** Whether a lost connection is opened again. Default: true. */
  readonly reconnection?: boolean | undefined;
  /**
   * How many attempts to connect in a row may fail before the client gives up,
   * those that the server refuses, or for which `auth` gives nothing, among them.
   * Default: unlimited.
   */
  readonly reconnectionAttempts?: number | undefined;
  /** The delay before the first attempt to reconnect, in milliseconds, with half of it as jitter. Default: 1,000. */
  readonly reconnectionDelayMs?: number | undefined;
  /** What that delay grows to, in milliseconds. Default: 5,000. */
  readonly reconnectionDelayMaxMs?: number | undefined;
  /**
   * How long a trigger may take in all, with waiting for a connection and every
   * time that it is sent again, in milliseconds; then it fails with `TIMEOUT`,
   * or with what the server has refused it with.
   * Default: 30,000; at most 100,000, for the server knows a key for two minutes.
   */
  readonly triggerTimeoutMs?: number | undefined;
  /** How many triggers of one room may wait for their answers; more fail with `LIMIT_EXCEEDED`. Default: 1,000. */
  readonly outboxSize?: number | undefined;
}
