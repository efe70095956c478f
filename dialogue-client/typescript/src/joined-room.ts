import { abortable } from "./abortable.js";
import type { AnyRoomContract } from "./contract.js";
import { DialogueError } from "./error.js";
import type { ErrorChannel } from "./error-channel.js";
import type { EventMessage } from "./event-message.js";
import { Feed } from "./feed.js";
import { type Handler, Handlers, HandlersByName, type Unsubscribe } from "./handlers.js";
import type { HistoryPage, HistoryRange } from "./history.js";
import { iterateMessages } from "./message-iterator.js";
import { Outbox, type OutboxLimits } from "./outbox.js";
import type { Position } from "./place.js";
import { concernOf, type RequestBody, type Requester } from "./request.js";
import { retryDelay } from "./retry.js";
import type { Receipt, TriggerOptions, TypedRoom } from "./room.js";
import type { RoomState } from "./room-state.js";

interface JoinAnswer extends Position {
  readonly roomName: string;
  readonly subscriptions: readonly string[];
  readonly recovered?: boolean;
  readonly events: readonly EventMessage[];
}

interface SubscriptionsAnswer {
  readonly subscriptions: readonly string[];
}

/** What a room needs of its client. */
export interface RoomOwner {
  readonly requester: Requester;
  readonly errors: ErrorChannel;
  readonly outbox: OutboxLimits;
  /** A join has brought events of the past. */
  broughtHistory(roomId: string, events: EventMessage[]): void;
  /** The room is out of use; the server is being told, or knows. */
  removed(room: JoinedRoom, leaving?: Promise<void>): void;
}

/** How long to wait for a place in a full room, which may be one's own former connection, in milliseconds. */
const FULL_MS = 1_000;

/** A room as it is at run time: its handlers, its events, and its requests. */
export class JoinedRoom implements Omit<TypedRoom<AnyRoomContract>, "on" | "getHistory" | "events"> {
  readonly roomId: string;
  roomName = "";
  history: readonly EventMessage[] = [];

  readonly #owner: RoomOwner;
  readonly #handlers = new HandlersByName<[message: EventMessage]>();
  readonly #anyHandlers = new Handlers<[event: string, message: EventMessage]>();
  readonly #stateHandlers = new Handlers<[state: RoomState]>();
  readonly #resetHandlers = new Handlers<[]>();
  readonly #endHandlers = new Handlers<[error?: DialogueError]>();
  readonly #outbox: Outbox;
  readonly #feed = new Feed({
    fetch: (after) => this.#request<HistoryPage>("dialogue:getHistory", { after, limit: 100 }),
    deliver: (message) => this.#deliver(message),
    lose: () => void this.reenter(),
  });
  #state: RoomState = "joining";
  #subscriptions: readonly string[] | undefined;
  #entering: Promise<void> | undefined;
  #asked = false;
  #doubtful = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #refusal: string | undefined;

  constructor(roomId: string, subscribe: readonly string[] | undefined, owner: RoomOwner) {
    this.roomId = roomId;
    this.#subscriptions = subscribe;
    this.#owner = owner;
    this.#outbox = new Outbox(owner.requester, owner.outbox);
  }

  get state(): RoomState {
    return this.#state;
  }

  /** Whether the room is out of use: the client left it, or was not let in again. */
  get ended(): boolean {
    return this.#state === "left" || this.#state === "denied";
  }

  /** Joins the room at the server, for the first time or again, with the subscriptions and the place that it had. */
  enter(): Promise<void> {
    this.#outbox.close();
    this.#feed.hold();
    const entering = this.#join().finally(() => {
      if (this.#entering === entering) this.#entering = undefined;
    });
    return (this.#entering = entering);
  }

  /**
   * Joins the room again, and tries once more later where the server refuses
   * for now. Resolves after the first answer.
   */
  async reenter(): Promise<void> {
    clearTimeout(this.#retry);
    this.#become("rejoining");
    try {
      await this.enter();
      this.#refusal = undefined;
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      // The next connection tries again.
      if (this.ended || error.code === "DISCONNECTED") return;
      if (error.code !== this.#refusal) this.#owner.errors.report(error);
      this.#refusal = error.code;
      const delay = error.code === "ROOM_FULL" ? FULL_MS : retryDelay(error);
      if (delay === undefined) this.retire("denied", error);
      else this.#retry = setTimeout(() => void this.reenter(), delay);
    }
  }

  /** The connection is lost; {@link reenter} comes with the next one. */
  suspend(): void {
    clearTimeout(this.#retry);
    this.#outbox.close();
    this.#feed.hold();
    if (this.#state === "joined") this.#become("rejoining");
  }

  /** Fails what waits for the room to be joined again: no connection is on its way. */
  forsake(): void {
    this.#outbox.abandon(new DialogueError("DISCONNECTED", "there is no connection to the server", { roomId: this.roomId }));
  }

  /**
   * Makes the room doubt the answer to the join that it waits for, which may be
   * from before or after what has just happened to it: it asks once more.
   * Returns false, and does nothing, if it waits for none.
   */
  doubt(): boolean {
    this.#doubtful = this.#asked;
    return this.#asked;
  }

  /** Takes in an event of this room. */
  receive(message: EventMessage): void {
    this.#feed.push(message);
  }

  /** Takes in where the server says that the log ends. */
  heardOf(position: Position): void {
    this.#feed.heardOf(position);
  }

  on(event: string, handler: Handler<[message: EventMessage]>): Unsubscribe {
    return this.#handlers.add(event, handler);
  }

  onAny(handler: Handler<[event: string, message: EventMessage]>): Unsubscribe {
    return this.#anyHandlers.add(handler);
  }

  onState(handler: Handler<[state: RoomState]>): Unsubscribe {
    return this.#stateHandlers.add(handler);
  }

  onReset(handler: Handler<[]>): Unsubscribe {
    return this.#resetHandlers.add(handler);
  }

  events(event: string, { signal }: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<EventMessage> {
    const { roomId } = this;
    const iterator = iterateMessages(
      {
        concern: { roomId, event },
        on: (handler) => this.on(event, handler),
        onEnd: (handler) => this.#endHandlers.add(handler),
        onReset: (handler) => this.onReset(handler),
      },
      signal,
    );
    if (this.ended) void iterator.return?.();
    return iterator;
  }

  trigger(
    event: string,
    data: unknown = null,
    meta?: Readonly<Record<string, unknown>>,
    options: TriggerOptions = {},
  ): Promise<Receipt> {
    const body = { roomId: this.roomId, event, data, ...(meta && { meta }) };
    const trigger = () => {
      this.#assertUsable(body);
      return this.#outbox.add(body, options);
    };
    return this.#owner.errors.watch(attempt(trigger));
  }

  subscribe(event: string): Promise<void> {
    return this.#changeSubscriptions("dialogue:subscribe", { eventName: event });
  }

  subscribeAll(): Promise<void> {
    return this.#changeSubscriptions("dialogue:subscribeAll");
  }

  unsubscribe(event: string): Promise<void> {
    return this.#changeSubscriptions("dialogue:unsubscribe", { eventName: event });
  }

  async getHistory(
    event: string,
    range: number | HistoryRange = 0,
    end = 50,
  ): Promise<EventMessage[] | HistoryPage> {
    const counted = typeof range === "number";
    const { signal, ...fields } = counted ? { start: range, end, signal: undefined } : range;
    signal?.throwIfAborted();
    const asked = this.#requestOnceIn<HistoryPage>("dialogue:getHistory", { eventName: event, ...fields });
    const { events, complete, epoch, seq } = await abortable(asked, signal);
    return counted ? events : { events, complete, epoch, seq };
  }

  leave(): Promise<void> {
    if (this.ended) return Promise.resolve();
    const leaving = this.#owner.errors.watch(this.#leave());
    this.retire("left", undefined, leaving);
    return leaving;
  }

  /** Puts the room out of use, without telling the server. */
  retire(state: "left" | "denied" = "left", refusal?: DialogueError, leaving?: Promise<void>): void {
    if (this.ended) return;
    clearTimeout(this.#retry);
    this.#feed.discard();
    this.#handlers.clear();
    this.#anyHandlers.clear();
    this.#resetHandlers.clear();
    this.#outbox.end(refusal ?? this.#notIn());
    this.#owner.removed(this, leaving);
    this.#endHandlers.call(refusal);
    this.#become(state);
    this.#stateHandlers.clear();
  }

  async #join(): Promise<void> {
    const { epoch, seq, recovered, ...answer } = await this.#ask();
    if (this.ended) return;
    const again = this.#feed.since !== undefined;
    this.roomName = answer.roomName;
    this.#subscriptions = answer.subscriptions;
    if (recovered) {
      this.#feed.resume(answer.events, { epoch, seq });
    } else {
      this.#feed.begin({ epoch, seq });
      this.history = answer.events;
      for (const message of answer.events) this.#learn(message);
      if (again) this.#resetHandlers.call();
      if (answer.events.length > 0) this.#owner.broughtHistory(this.roomId, [...answer.events]);
    }
    // What those handlers did may be to leave.
    if (this.ended) return;
    if (again) this.#feed.release();
    else this.#feed.releaseSoon();
    this.#become("joined");
    this.#outbox.open();
  }

  async #ask(): Promise<JoinAnswer> {
    this.#asked = true;
    try {
      let answer: JoinAnswer;
      do {
        this.#doubtful = false;
        const { since } = this.#feed;
        answer = await this.#request<JoinAnswer>("dialogue:join", {
          ...(this.#subscriptions && { subscribe: this.#subscriptions }),
          ...(since && { since }),
        });
      } while (this.#doubtful && !this.ended);
      return answer;
    } finally {
      this.#asked = false;
    }
  }

  #changeSubscriptions(request: string, fields?: RequestBody): Promise<void> {
    const changed = this.#requestOnceIn<SubscriptionsAnswer>(request, fields).then(({ subscriptions }) => {
      this.#subscriptions = subscriptions;
    });
    return this.#owner.errors.watch(changed);
  }

  async #leave(): Promise<void> {
    try {
      await this.#request("dialogue:leave");
    } catch (error) {
      if (!isOut(error)) throw error;
    }
  }

  /** Sends a request about this room, at once unless the room is being joined again. */
  async #requestOnceIn<Answer>(name: string, fields: RequestBody = {}): Promise<Answer> {
    if (this.#entering) await this.#entering.catch(() => {});
    this.#assertUsable({ roomId: this.roomId, ...fields });
    return await this.#request<Answer>(name, fields);
  }

  #request<Answer>(name: string, fields?: RequestBody): Promise<Answer> {
    return this.#owner.requester.request<Answer>(name, { roomId: this.roomId, ...fields });
  }

  #assertUsable(body: RequestBody): void {
    const { state } = this.#owner.requester;
    if (state === "disconnected") {
      throw new DialogueError("DISCONNECTED", "there is no connection to the server", concernOf(body));
    }
    if (this.ended) throw this.#notIn(body);
  }

  #notIn(body: RequestBody = { roomId: this.roomId }): DialogueError {
    return new DialogueError("NOT_IN_ROOM", `the room \`${this.roomId}\` was left`, concernOf(body));
  }

  #become(state: RoomState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#stateHandlers.call(state);
  }

  #learn(message: EventMessage): void {
    if (message.seq !== undefined) this.#outbox.learnStored(message.event);
  }

  #deliver(message: EventMessage): void {
    this.#learn(message);
    this.#handlers.call(message.event, message);
    this.#anyHandlers.call(message.event, message);
  }
}

const OUT: readonly string[] = ["DISCONNECTED", "NOT_IN_ROOM", "ROOM_NOT_FOUND"];

/** Whether a failure to leave says that the client is not in the room anyway. */
function isOut(error: unknown): boolean {
  return error instanceof DialogueError && OUT.includes(error.code);
}

/** What a function returns, or its failure as a rejection. */
async function attempt<T>(run: () => Promise<T>): Promise<T> {
  return await run();
}
