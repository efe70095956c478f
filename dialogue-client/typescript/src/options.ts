/**
 * What a client sends as its credentials: a value, or a function that gives it,
 * run on each connection so that a reconnection carries fresh ones. Only with a
 * function does a client whose credentials have expired connect again by itself.
 */
export type Auth = object | (() => object | Promise<object>);

/** How a client reaches its server. Nothing is connected before `connect()` is called. */
export interface DialogueClientOptions {
  /**
   * The server's origin: `http://`, `https://`, `ws://` or `wss://`, without a
   * path. Default in a browser: the page's own origin; needed elsewhere.
   */
  readonly url?: string | undefined;
  /** The credentials. Default: none. */
  readonly auth?: Auth | undefined;
  /** The path of the server's Socket.IO endpoint, for one behind a prefix. Default: `"/socket.io"`. */
  readonly path?: string | undefined;
  /** The transports to use, in order. Default: polling, then an upgrade to WebSocket. */
  readonly transports?: readonly ("polling" | "websocket")[] | undefined;
  /**
   * How long to wait for the first connection, and for each answer, in
   * milliseconds; then the error is `TIMEOUT`. Default: 10,000.
   */
  readonly timeoutMs?: number | undefined;
  /** Whether a lost connection is opened again. Default: true. */
  readonly reconnection?: boolean | undefined;
  /** How many attempts in a row may fail before the client gives up. Default: unlimited. */
  readonly reconnectionAttempts?: number | undefined;
  /** The delay before the first attempt to reconnect, in milliseconds, with half of it as jitter. Default: 1,000. */
  readonly reconnectionDelayMs?: number | undefined;
  /** What that delay grows to, in milliseconds. Default: 5,000. */
  readonly reconnectionDelayMaxMs?: number | undefined;
}
