import { Manager, type Socket } from "socket.io-client";
import type { ConnectionState } from "./connection-state.js";
import { Deferred } from "./deferred.js";
import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { Auth, DialogueClientOptions } from "./options.js";
import { decodeConnectError, decodeRefusal } from "./refusal.js";
import { concernOf, type RequestBody, type Requester, Requests } from "./request.js";
import { serverOrigin } from "./server-url.js";

/** What a connection tells its owner. */
export interface ConnectionObserver {
  /** The server has said who this client is; requests may be made. */
  established(): void;
  /** An established connection is gone. */
  lost(reason: string): void;
  /** The server, or `auth`, refused something that no request was waiting for. */
  failed(error: DialogueError): void;
  /** A room's event has come in. */
  received(message: EventMessage): void;
}

/** One Socket.IO connection to a Dialogue server, kept up until it is closed. */
export class Connection implements Requester {
  /** The id of this connection at the server; the last one's while there is none, `""` before the first. */
  clientId = "";
  /** The proven user id; the last one while there is no connection, `""` before the first. */
  userId = "";

  readonly #observer: ConnectionObserver;
  readonly #options: DialogueClientOptions;
  readonly #timeoutMs: number;
  readonly #reconnection: boolean;
  readonly #retryDelays: readonly [from: number, to: number];
  readonly #socket: Socket;
  readonly #requests = new Requests();
  #phase: ConnectionState | "reconnecting" = "disconnected";
  #opened: Deferred<void> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #handshake = 0;

  constructor(options: DialogueClientOptions, observer: ConnectionObserver) {
    this.#options = options;
    this.#observer = observer;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#reconnection = options.reconnection ?? true;
    this.#retryDelays = [options.reconnectionDelayMs ?? 1_000, options.reconnectionDelayMaxMs ?? 5_000];
    const manager = new Manager(serverOrigin(options.url), {
      autoConnect: false,
      path: options.path ?? "/socket.io",
      reconnection: this.#reconnection,
      reconnectionAttempts: options.reconnectionAttempts ?? Infinity,
      reconnectionDelay: this.#retryDelays[0],
      reconnectionDelayMax: this.#retryDelays[1],
      timeout: this.#timeoutMs,
      ...(options.transports && { transports: [...options.transports] }),
    });
    this.#socket = manager.socket("/", { auth: (send: (auth: object) => void) => void this.#authenticate(send) });
    this.#socket.on("dialogue:connected", (who: { clientId: string; userId: string }) => this.#established(who));
    this.#socket.on("dialogue:event", (message: EventMessage) => observer.received(message));
    this.#socket.on("dialogue:error", (refusal: unknown) => observer.failed(decodeRefusal(refusal)));
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.on("connect_error", (error) => this.#connectFailed(error));
    manager.on("close", () => this.#handshake++);
    manager.on("reconnect_failed", () => {
      this.#giveUp(new DialogueError("DISCONNECTED", "every attempt to reconnect failed"));
    });
  }

  get state(): ConnectionState {
    return this.#phase === "reconnecting" ? "connecting" : this.#phase;
  }

  /** Opens the connection, or waits for the one that is being opened. */
  connect(): Promise<void> {
    if (this.#phase === "connected") return Promise.resolve();
    this.#opened ??= new Deferred();
    if (this.#phase === "disconnected") {
      this.#phase = "connecting";
      this.#deadline = setTimeout(() => {
        this.#giveUp(new DialogueError("TIMEOUT", `no connection within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#socket.connect();
    }
    return this.#opened.promise;
  }

  /** Closes the connection, and whatever attempt there is to open it. */
  disconnect(): void {
    this.#close(new DialogueError("DISCONNECTED", "the client was disconnected while it was connecting"));
  }

  request<Answer>(name: string, body?: RequestBody): Promise<Answer> {
    if (this.#phase !== "connected") {
      return Promise.reject(new DialogueError("DISCONNECTED", "there is no connection to the server", concernOf(body)));
    }
    return this.#requests.send<Answer>(this.#socket, name, body, this.#timeoutMs);
  }

  async #authenticate(send: (credentials: object) => void): Promise<void> {
    const handshake = ++this.#handshake;
    try {
      const credentials = await readAuth(this.#options.auth);
      if (handshake === this.#handshake) send(credentials);
    } catch (cause) {
      if (handshake !== this.#handshake) return;
      this.#refused(new DialogueError("UNAUTHENTICATED", "`auth` gave no credentials", { cause }), true);
    }
  }

  #established(who: { clientId: string; userId: string }): void {
    clearTimeout(this.#deadline);
    this.clientId = who.clientId;
    this.userId = who.userId;
    this.#phase = "connected";
    const opened = this.#opened;
    this.#opened = undefined;
    this.#observer.established();
    opened?.resolve();
  }

  #disconnected(reason: string): void {
    // What Socket.IO kept back would be sent before the rooms are joined again.
    this.#socket.sendBuffer = [];
    this.#requests.abandon();
    const comesBack = this.#socket.active && this.#reconnection;
    if (this.#phase === "connected") {
      this.#phase = comesBack ? "reconnecting" : "disconnected";
      this.#observer.lost(reason);
    } else if (this.#phase === "connecting" || (this.#phase === "reconnecting" && !comesBack)) {
      this.#giveUp(new DialogueError("DISCONNECTED", `the connection was closed while it was opened: ${reason}`));
    }
  }

  #connectFailed(error: Error): void {
    if (!this.#socket.active) {
      const refusal = decodeConnectError(error);
      this.#refused(refusal, refusal.code !== "UNAUTHENTICATED");
    } else if (this.#phase === "connecting") {
      this.#giveUp(new DialogueError("DISCONNECTED", "the server cannot be reached", { cause: error }));
    }
  }

  /** Socket.IO does not try again by itself after a refusal; a reconnection does, if the refusal may pass. */
  #refused(error: DialogueError, passes: boolean): void {
    if (this.#phase !== "reconnecting" || !passes) return this.#giveUp(error);
    this.#socket.disconnect();
    const [from, to] = this.#retryDelays;
    const delay = error.retryAfterMs ?? from + Math.random() * Math.max(0, to - from);
    this.#retry = setTimeout(() => this.#socket.connect(), delay);
    this.#observer.failed(error);
  }

  #giveUp(error: DialogueError): void {
    this.#close(error);
    this.#observer.failed(error);
  }

  #close(error: DialogueError): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    this.#handshake++;
    this.#opened?.reject(error);
    this.#opened = undefined;
    // An established connection is marked closed, and announced, by its own `disconnect` event.
    if (this.#phase !== "connected") this.#phase = "disconnected";
    this.#socket.disconnect();
  }
}

async function readAuth(auth: Auth = {}): Promise<object> {
  return typeof auth === "function" ? await (auth as Extract<Auth, () => unknown>)() : auth;
}
