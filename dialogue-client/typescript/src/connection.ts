import { Manager, type Socket } from "socket.io-client";
import type { ConnectionState } from "./connection-state.js";
import { Deferred } from "./deferred.js";
import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { Unsubscribe } from "./handlers.js";
import { byteLength, writeJson } from "./json.js";
import type { Auth, Credentials, DialogueClientOptions } from "./options.js";
import { fits, type Packet } from "./packet.js";
import { decodeConnectError, decodeRefusal, decodeTransportFailure } from "./refusal.js";
import { notConnected, type RequestBody, type Requester, send, tooLarge } from "./request.js";
import type { RoomInfo } from "./room-info.js";
import type { End } from "./place.js";
import { isUnanswered } from "./retry.js";
import { serverOrigin } from "./server-url.js";
import { countable } from "./timer.js";
import { transportsOf } from "./transports.js";
import { onWake } from "./wake.js";

/** What the server says of a connection, first of all. */
interface Welcome extends Authenticated {
  readonly clientId: string;
  readonly userId: string;
  /** The hash of its contract, where the client's is another. */
  readonly contract?: string;
  /** The longest message that it takes, in bytes. Absent: not known. */
  readonly maxMessageBytes?: number;
}

interface InRoom {
  readonly roomId: string;
}

/** What a connection tells its owner. */
export interface ConnectionObserver {
  /** The connection's state may be another, or what is proven. All that belongs to it is done: whoever hears of it may connect or disconnect. */
  changed(): void;
  /** The server has said who this client is; requests may be made. */
  established(): void;
  /** The server's contract is another one than the client was made with. */
  differs(contract: string): void;
  /** The server has ended an established connection on purpose. {@link changed} and {@link lost} come next. */
  dismissed(): void;
  /** An established connection is gone. */
  lost(reason: string): void;
  /** The server cannot be reached. The connection tries again. */
  unreachable(error: DialogueError): void;
  /** The server, or `auth`, refused something that no request was waiting for. */
  failed(error: DialogueError): void;
  /** What is done with what the server says of rooms, by the names of its events. */
  readonly packets: {
    readonly "dialogue:event": (message: EventMessage) => void;
    readonly "dialogue:position": (end: End & InRoom) => void;
    /** The server has made this client leave a room. */
    readonly "dialogue:left": (left: InRoom) => void;
    /** A room that this client may see has been created. */
    readonly "dialogue:roomCreated": (room: RoomInfo) => void;
    /** A room that this client may see, or was in, has been deleted. */
    readonly "dialogue:roomDeleted": (deleted: InRoom) => void;
  };
  /** An event has come in that is outside any room, Dialogue's own among them. */
  sent(event: string, payload: unknown): void;
}

/** What the server says of credentials that it has accepted. */
export interface Authenticated {
  /** When they expire, in milliseconds since the Unix epoch, by the server's clock: information for the app. Absent: never. */
  readonly expiresAt?: number;
  /** How long they last, in milliseconds, from this answer on. Absent: for ever. */
  readonly expiresInMs?: number;
}

/** How long before credentials expire they are renewed: a quarter of the time that is left, and at most this many milliseconds. */
const RENEWAL_MS = 60_000;

/** How long it takes from one renewal to the next, at least, in milliseconds: new credentials may last as short as the old ones. */
const BETWEEN_MS = 1_000;

/** How long the packet with the credentials may be, in bytes: servers take 65,536 before their welcome, with the frames of the transport. */
const MOST_CREDENTIALS = 65_500;

/** One Socket.IO connection to a Dialogue server, kept up until it is closed. */
export class Connection implements Requester {
  /** The id of this connection at the server; the last one's while there is none, `""` before the first. */
  clientId = "";
  /** The proven user id; the last one while there is no connection, `""` before the first. */
  userId = "";
  maxMessageBytes = Infinity;

  readonly #observer: ConnectionObserver;
  readonly #timeoutMs: number;
  /** How many attempts may follow each other; 0 where a lost connection stays lost. */
  readonly #mostAttempts: number;
  readonly #retryDelays: readonly [from: number, to: number];
  readonly #socket: Socket;
  #auth: Auth | undefined;
  /** What gave the credentials of the last connection, and what those that the server took in last. */
  #presented: Auth | undefined;
  #accepted: Auth | undefined;
  /** What `auth` is asked for, and has not given yet. */
  #asked: Promise<Credentials> | undefined;
  #expired = false;
  #phase: ConnectionState | "reconnecting" = "disconnected";
  /** How many attempts have begun since a connection was established. */
  #attempts = 0;
  #opened: Deferred<void> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #stopWaking: Unsubscribe | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  /** How long a server that stops has asked to be left alone, in milliseconds. */
  #drainMs: number | undefined;
  #handshake = 0;

  constructor(options: DialogueClientOptions, observer: ConnectionObserver) {
    this.#auth = this.#accepted = options.auth;
    this.#observer = observer;
    this.#timeoutMs = countable(options.timeoutMs ?? 10_000);
    this.#mostAttempts = (options.reconnection ?? true) ? (options.reconnectionAttempts ?? Infinity) : 0;
    this.#retryDelays = [
      countable(options.reconnectionDelayMs ?? 1_000),
      countable(options.reconnectionDelayMaxMs ?? 5_000),
    ];
    const transports = options.transports ?? ["websocket", "polling"];
    const manager = new Manager(serverOrigin(options.url), {
      autoConnect: false,
      path: options.path ?? "/socket.io",
      reconnection: this.#mostAttempts > 0,
      reconnectionDelay: this.#retryDelays[0],
      reconnectionDelayMax: this.#retryDelays[1],
      timeout: this.#timeoutMs,
      ...(options.contract !== undefined && { query: { contract: options.contract } }),
      withCredentials: options.withCredentials ?? false,
      // The next transport is to have its time, too.
      transportImplementations: transportsOf(transports, this.#timeoutMs / Math.max(transports.length, 1)),
      tryAllTransports: true,
    });
    manager.on("reconnect_attempt", () => this.#attempts++);
    manager.on("close", () => this.#handshake++);
    this.#socket = manager.socket("/", { auth: (send: (auth: object) => void) => void this.#present(send) });
    const refuse = (packet: Packet) => {
      const error = decodeRefusal(packet);
      if (error.code === "TOKEN_EXPIRED") this.#expired = true;
      // Without the server's first word, there is no connection: it is lost, and comes back where it would by itself.
      if (this.#phase === "reconnecting") manager.engine.close();
      if (this.#phase === "connecting") this.#giveUp(error);
      else observer.failed(error);
    };
    // It has no prototype: events may have any name.
    const packets: { readonly [event: string]: (packet: Packet) => void } = {
      __proto__: null as never,
      ...observer.packets,
      "dialogue:connected": (welcome: Welcome) => this.#established(welcome),
      "dialogue:draining": (draining: { readonly reconnectAfterMs: number }) => {
        this.#drainMs = draining.reconnectAfterMs;
      },
      "dialogue:error": refuse,
    };
    this.#socket.onAny((event: string, packet: Packet) => {
      observer.sent(event, packet);
      const take = packets[event];
      if (take) (fits(event, packet) ? take : refuse)(packet);
    });
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.on("connect_error", (error) => this.#connectFailed(error));
  }

  get state(): ConnectionState {
    return this.#phase === "reconnecting" ? "connecting" : this.#phase;
  }

  /** Opens the connection, and keeps trying as if one had been lost. */
  open(): void {
    this.#become("reconnecting");
    this.#openAfter(0);
    this.#observer.changed();
  }

  /** Opens the connection, or waits for the one that is being opened. If it would be the first, it has one try. */
  connect(): Promise<void> {
    if (this.#phase === "connected") return Promise.resolve();
    const opened = this.opening();
    if (this.#phase === "disconnected" || (this.#phase === "reconnecting" && !this.clientId)) {
      const underway = this.#phase === "reconnecting" && this.#socket.active;
      this.#become("connecting");
      this.#deadline = setTimeout(() => {
        this.#giveUp(new DialogueError("TIMEOUT", `no connection within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      // Once the transport is open, Socket.IO would offer the credentials a second time.
      if (!underway) this.#openAfter(0);
    }
    this.#observer.changed();
    return opened;
  }

  /** Resolves when the connection that is being opened is established. */
  opening(): Promise<void> {
    return (this.#opened ??= new Deferred()).promise;
  }

  /** Stops the first attempt to connect, if that is going on. */
  forgo(): void {
    if (this.#phase === "connecting") this.disconnect();
  }

  /** Closes the connection, and whatever attempt there is to open it. */
  disconnect(): void {
    this.#close(new DialogueError("DISCONNECTED", "the client was disconnected"));
    this.#observer.changed();
  }

  request<Answer>(name: string, body?: RequestBody, times = 1): Promise<Answer> {
    if (this.#phase !== "connected") {
      return Promise.reject(notConnected(body));
    }
    return send<Answer>(this.#socket, name, body, countable(this.#timeoutMs * times), this.maxMessageBytes);
  }

  /**
   * Sends new credentials, by default those that `auth` gives. What is given
   * here stands in place of `auth` from then on, unless the server refuses it.
   */
  async authenticate(auth = this.#auth): Promise<Authenticated> {
    this.#auth = auth;
    try {
      const credentials = await credentialsOf(auth, this.#timeoutMs);
      // The next connection presents them.
      this.#assertFitting(credentials);
      const authenticated = await this.request<Authenticated>("dialogue:authenticate", credentials);
      if (this.#auth === this.#accepted) this.#auth = auth;
      this.#accepted = auth;
      this.#renewBefore(authenticated, BETWEEN_MS);
      this.#observer.changed();
      return authenticated;
    } catch (error) {
      if (this.#auth === auth && !isUnanswered(error)) this.#auth = this.#accepted;
      throw error;
    }
  }

  /** Sends the credentials of a new connection: those that `auth` was asked for on the last one, if they are still to come. */
  async #present(send: (credentials: Credentials) => void): Promise<void> {
    const handshake = ++this.#handshake;
    if (this.#presented !== this.#auth) this.#asked = undefined;
    this.#presented = this.#auth;
    const asked = (this.#asked ??= credentialsOf(this.#auth, this.#timeoutMs));
    try {
      const credentials = await asked;
      if (handshake !== this.#handshake) return;
      this.#assertFitting(credentials);
      send(credentials);
    } catch (error) {
      // The server would close the connection on what is too long, and each one after it.
      if (asked === this.#asked) this.#refused(error as DialogueError, (error as DialogueError).code !== "TOO_LARGE");
    } finally {
      if (asked === this.#asked) this.#asked = undefined;
    }
  }

  /** Throws `TOO_LARGE` if no connection could be opened with these credentials. */
  #assertFitting(credentials: Credentials): void {
    // What the server said when it opened the transport, which Engine.IO keeps to itself.
    const engine = this.#socket.io.engine as unknown as { readonly _maxPayload?: number } | undefined;
    const limit = Math.min(engine?._maxPayload ?? Infinity, MOST_CREDENTIALS);
    // In the packet, `40` comes first.
    const size = 2 + byteLength(JSON.stringify(credentials));
    if (size > limit) throw tooLarge(size, limit);
  }

  #established(welcome: Welcome): void {
    const { clientId, userId, contract, maxMessageBytes = Infinity } = welcome;
    clearTimeout(this.#deadline);
    this.clientId = clientId;
    this.userId = userId;
    this.maxMessageBytes = maxMessageBytes;
    this.#become("connected");
    this.#attempts = 0;
    this.#expired = false;
    this.#accepted = this.#presented;
    const opened = this.#opened;
    this.#renewBefore(welcome);
    this.#observer.changed();
    if (contract !== undefined) this.#observer.differs(contract);
    this.#observer.established();
    // A handler may have disconnected, which has rejected it, and connected again.
    if (opened !== this.#opened) return;
    opened?.resolve();
    this.#opened = undefined;
  }

  /** Authenticates again before credentials expire that have just been accepted, where `auth` may give others then. */
  #renewBefore({ expiresInMs: left = 0 }: Authenticated, atLeastMs = 0): void {
    clearTimeout(this.#renewal);
    if (left <= 0 || !this.#canRenew) return;
    this.#renewal = setTimeout(
      () => {
        this.authenticate().catch((error: DialogueError) => {
          if (error.code !== "DISCONNECTED") this.#observer.failed(error);
        });
      },
      countable(Math.max(left - Math.min(left / 4, RENEWAL_MS), atLeastMs)),
    );
  }

  #disconnected(reason: string): void {
    // What Socket.IO kept back would be sent before the rooms are joined again.
    this.#socket.sendBuffer = [];
    clearTimeout(this.#renewal);
    // Socket.IO does not open again what the server closes, but fresh credentials may be all that it wants.
    const renews = this.#expired && this.#canRenew && reason === "io server disconnect";
    const drained = reason === "io client disconnect" ? undefined : this.#drainMs;
    const comesBack = (this.#socket.active || renews || drained !== undefined) && this.#opensAgain;
    this.#drainMs = undefined;
    if (drained !== undefined && comesBack) {
      // In place of Socket.IO's own attempts, which would begin earlier.
      this.#socket.disconnect();
      this.#openAfter(drained);
    } else if (renews && comesBack) {
      this.#openAfter(this.#retryDelays[0] * (0.5 + Math.random()));
    }
    if (this.#phase === "connected") {
      this.#become(comesBack ? "reconnecting" : "disconnected");
      if (!comesBack && reason === "io server disconnect") this.#observer.dismissed();
      this.#observer.changed();
      this.#observer.lost(reason);
    } else if (this.#phase === "connecting" || (this.#phase === "reconnecting" && !comesBack)) {
      this.#giveUp(new DialogueError("DISCONNECTED", `the connection was closed: ${reason}`));
    }
  }

  #connectFailed(error: Error): void {
    if (!this.#socket.active) {
      const refusal = decodeConnectError(error);
      this.#refused(refusal, refusal.code === "TOKEN_EXPIRED" ? this.#canRenew : refusal.code !== "UNAUTHENTICATED");
      return;
    }
    const failure = decodeTransportFailure(error);
    if (this.#phase === "connecting" || !this.#opensAgain) this.#giveUp(failure);
    else this.#observer.unreachable(failure);
  }

  /** Socket.IO does not try again by itself after a refusal; a reconnection does, if the refusal may pass. */
  #refused(error: DialogueError, passes: boolean): void {
    if (this.#phase !== "reconnecting" || !passes || !this.#opensAgain) return this.#giveUp(error);
    this.#socket.disconnect();
    const [from, to] = this.#retryDelays;
    this.#openAfter(error.retryAfterMs ?? from + Math.random() * Math.max(0, to - from));
    this.#observer.failed(error);
  }

  /** Whether a connection that is lost or cannot be opened is tried again. */
  get #opensAgain(): boolean {
    return this.#attempts < this.#mostAttempts;
  }

  /** Whether the next credentials may be others than the last ones. */
  get #canRenew(): boolean {
    return typeof this.#auth === "function";
  }

  #become(phase: ConnectionState | "reconnecting"): void {
    this.#phase = phase;
    this.#stopWaking?.();
    this.#stopWaking = phase === "reconnecting" ? onWake(() => this.#hasten()) : undefined;
  }

  /** Tries at once where Socket.IO chooses when; where the server said when, it is not asked before. */
  #hasten(): void {
    if (this.#socket.active && !this.#socket.connected) this.#socket.disconnect().connect();
  }

  /** Never at once: whoever hears of a failure is called by Socket.IO, which is not done with it yet. */
  #openAfter(delayMs: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#attempts++;
      this.#socket.connect();
    }, countable(delayMs));
  }

  #giveUp(error: DialogueError): void {
    this.#close(error);
    this.#observer.failed(error);
  }

  #close(error: DialogueError): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    this.#handshake++;
    this.#attempts = 0;
    this.#asked = undefined;
    this.#opened?.reject(error);
    this.#opened = undefined;
    // An established connection is marked closed, and announced, by its own `disconnect` event.
    if (this.#phase !== "connected") this.#become("disconnected");
    this.#socket.disconnect();
  }
}

/** What `auth` gives, unless it takes too long. */
function credentialsOf(auth: Auth = {}, timeoutMs: number): Promise<Credentials> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(
      () => reject(new DialogueError("TIMEOUT", `\`auth\` was not done within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const ask = async () => JSON.parse(writeJson(typeof auth === "function" ? await auth() : auth));
    ask()
      .then(resolve, (cause) => reject(new DialogueError("UNAUTHENTICATED", "`auth` gave no credentials", { cause })))
      .finally(() => clearTimeout(deadline));
  });
}
