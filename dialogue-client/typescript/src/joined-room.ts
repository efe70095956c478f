import { abortable, throwIfAborted } from "./abortable.js";
import type { AnyRoomContract } from "./contract.js";
import { DialogueError } from "./error.js";
import type { ErrorChannel } from "./error-channel.js";
import type { EventMessage } from "./event-message.js";
import { Feed } from "./feed.js";
import { type Handler, Handlers, HandlersByName, type Unsubscribe } from "./handlers.js";
import type { HistoryPage, HistoryRange } from "./history.js";
import { type JoinAnswer, Membership } from "./membership.js";
import { iterateMessages } from "./message-iterator.js";
import { Outbox, type OutboxLimits } from "./outbox.js";
import type { End, Position } from "./place.js";
import { concernOf, notConnected, type RequestBody, type Requester } from "./request.js";
import type { EventsOptions, Receipt, TriggerOptions, TypedRoom } from "./room.js";
import type { RoomState } from "./room-state.js";

/** The server's answer to a change of subscriptions, and where the log ended then. */
interface SubscriptionsAnswer extends Position {
  readonly subscriptions: readonly string[];
}

/** How many joins of a room have not been left. */
export interface Holders {
  count: number;
}

/** How many events a room's history grows to, unless the join has brought more. */
const MOST_RECENT = 100;

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

/** A room as it is at run time: its handlers, its events, and its requests. */
export class JoinedRoom implements Omit<TypedRoom<AnyRoomContract>, "on" | "getHistory" | "events"> {
  declare readonly roomId: string;
  roomName = "";
  history: readonly EventMessage[] = [];
  declare readonly holders: Holders;

  readonly #owner: RoomOwner;
  readonly #handlers = new HandlersByName<[message: EventMessage]>();
  readonly #anyHandlers = new Handlers<[event: string, message: EventMessage]>();
  readonly #resetHandlers = new Handlers<[]>();
  /** The names whose events were missed at the last reset. */
  #missed: readonly string[] = [];
  readonly #endHandlers = new Handlers<[error?: DialogueError]>();
  readonly #outbox: Outbox;
  readonly #feed = new Feed({
    fetch: (after, limit, times) => this.#request<HistoryPage>("dialogue:getHistory", { after, limit }, times),
    deliver: (message) => this.#deliver(message),
    lose: () => void this.reenter(),
  });
  readonly #membership: Membership;

  constructor(roomId: string, subscribe: readonly string[] | undefined, holders: Holders, owner: RoomOwner) {
    this.roomId = roomId;
    this.holders = holders;
    this.#owner = owner;
    this.#outbox = new Outbox(owner.requester, owner.outbox);
    this.#membership = new Membership(subscribe, {
      request: (name, fields, times) => this.#request(name, fields, times),
      since: () => this.#feed.since,
      paused: () => {
        this.#outbox.close();
        this.#feed.hold();
      },
      joined: (answer) => this.#joined(answer),
      denied: (refusal) => this.retire("denied", refusal),
      failed: (refusal) => owner.errors.report(refusal),
      lacks: (event) => {
        const message = `no subscription to \`${event}\` in \`${roomId}\``;
        owner.errors.report(new DialogueError("EVENT_NOT_ALLOWED", message, { roomId, event }));
      },
    });
  }

  get subscriptions(): readonly string[] {
    return this.#membership.subscriptions;
  }

  get state(): RoomState {
    return this.#membership.state;
  }

  /** Whether the room is out of use: the client left it, or was not let in again. */
  get ended(): boolean {
    return this.#membership.ended;
  }

  /** Joins the room for the first time. */
  enter(): Promise<void> {
    return this.#membership.enter();
  }

  /** Joins the room again, on a new connection; resolves when the server has answered. */
  reenter(): Promise<void> {
    return this.#membership.reenter();
  }

  /** The connection is lost. */
  suspend(): void {
    this.#membership.suspend();
  }

  /** Fails what waits for the room to be joined again: no connection is on its way. */
  forsake(): void {
    this.#outbox.abandon(notConnected({ roomId: this.roomId }));
  }

  /** Asks once more for the join that is going on, if there is one: the room may be another by now. */
  doubt(): boolean {
    return this.#membership.doubt();
  }

  /** Takes in an event of this room. */
  receive(message: EventMessage): void {
    this.#feed.push(message);
  }

  /** Takes in where the server says that the log ends. */
  heardOf(end: End): void {
    this.#feed.heardOf(end);
  }

  /** Has joins name an event that the room's defaults cover: those of the server's next version may not. */
  want(event: string): void {
    this.#membership.want(event);
  }

  on(event: string, handler: Handler<[message: EventMessage]>): Unsubscribe {
    return this.#handlers.add(event, handler);
  }

  onAny(handler: Handler<[event: string, message: EventMessage]>): Unsubscribe {
    return this.#anyHandlers.add(handler);
  }

  onState(handler: Handler<[state: RoomState, refusal?: DialogueError]>): Unsubscribe {
    return this.#membership.onState(handler);
  }

  onReset(handler: Handler<[]>): Unsubscribe {
    return this.#resetHandlers.add(handler);
  }

  events(event: string, { signal }: EventsOptions = {}): AsyncIterableIterator<EventMessage> {
    const { roomId } = this;
    const iterator = iterateMessages(
      {
        concern: { roomId, event },
        on: (handler) => this.on(event, handler),
        onEnd: (handler) => this.#endHandlers.add(handler),
        onReset: (handler) => this.onReset(() => this.#missed.includes(event) && handler()),
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
    const body = { roomId: this.roomId, event, data, meta };
    return this.#owner.errors.watch(
      (async () => {
        this.#assertUsable(body);
        return await this.#outbox.add(body, options);
      })(),
    );
  }

  subscribe(event: string): Promise<void> {
    return this.#changeSubscriptions("dialogue:subscribe", event);
  }

  subscribeAll(): Promise<void> {
    return this.#changeSubscriptions("dialogue:subscribeAll");
  }

  unsubscribe(event: string): Promise<void> {
    return this.#changeSubscriptions("dialogue:unsubscribe", event);
  }

  async getHistory(
    event: string,
    range: number | HistoryRange = 0,
    end = 50,
  ): Promise<EventMessage[] | HistoryPage> {
    const counted = typeof range === "number";
    const { signal, ...fields }: HistoryRange = counted ? { start: range, end } : range;
    throwIfAborted(signal);
    const query = { eventName: event, ...fields };
    const page = await abortable(
      this.#onceIn(query, () => this.#request<HistoryPage>("dialogue:getHistory", query)),
      signal,
    );
    return counted ? page.events : page;
  }

  leave(): Promise<void> {
    return !this.ended && --this.holders.count > 0 ? Promise.resolve() : this.quit();
  }

  /** Leaves the room, however many joins have not been left. */
  quit(): Promise<void> {
    if (this.ended) return Promise.resolve();
    const leaving = this.#owner.errors.watch(
      this.#request<void>("dialogue:leave").catch((error) => {
        if (!isOut(error)) throw error;
      }),
    );
    this.retire("left", undefined, leaving);
    return leaving;
  }

  /** Puts the room out of use, without telling the server. */
  retire(state: "left" | "denied" = "left", refusal?: DialogueError, leaving?: Promise<void>): void {
    if (this.ended) return;
    this.#feed.discard();
    this.#handlers.clear();
    this.#anyHandlers.clear();
    this.#resetHandlers.clear();
    this.#outbox.end(refusal ?? this.#notIn());
    this.#owner.removed(this, leaving);
    this.#endHandlers.call(refusal);
    this.#membership.end(state, refusal);
  }

  #joined(answer: JoinAnswer): void {
    const { roomName, events, recovered, epoch, seq, last = {}, more } = answer;
    const before = this.#feed.since;
    this.roomName = roomName;
    // A log that ends before what was seen of it has lost events.
    if (before && recovered && seq >= before.seq) {
      this.#feed.resume(events, { epoch, seq, last }, this.#followed, more);
    } else {
      if (before) this.#missed = before.missed(answer);
      this.#feed.begin(answer, this.#followed);
      this.history = events;
      if (before) this.#resetHandlers.call();
      if (events.length > 0) this.#owner.broughtHistory(this.roomId, [...events]);
    }
    if (before) this.#feed.release();
    else this.#feed.releaseSoon();
    // What handlers did may be to leave.
    if (this.ended) return;
    this.#membership.complete();
    this.#outbox.open(this.#membership.stored);
  }

  #changeSubscriptions(request: string, event?: string): Promise<void> {
    const fields = event === undefined ? undefined : { eventName: event };
    const change = async () => {
      const { subscriptions, seq } = await this.#request<SubscriptionsAnswer>(request, fields);
      const before = this.#followed;
      this.#membership.subscriptions = subscriptions;
      if (request === "dialogue:unsubscribe") this.#membership.keep(event!);
      else this.#membership.want(event ?? "*");
      this.#feed.follow(this.#followed.filter((name) => !before.includes(name)), seq);
    };
    return this.#owner.errors.watch(this.#onceIn(fields, () => this.#membership.change(change())));
  }

  /** The names whose events are stored and come. */
  get #followed(): readonly string[] {
    const { subscriptions } = this;
    const every = subscriptions.includes("*");
    return this.#membership.stored.filter((event) => every || subscriptions.includes(event));
  }

  /** Sends a request about this room, at once unless the room is being joined again. */
  async #onceIn<Answer>(fields: RequestBody | undefined, send: () => Promise<Answer>): Promise<Answer> {
    const { entering } = this.#membership;
    if (entering) await entering;
    this.#assertUsable({ roomId: this.roomId, ...fields });
    return send();
  }

  #request<Answer>(name: string, fields?: RequestBody, times?: number): Promise<Answer> {
    return this.#owner.requester.request<Answer>(name, { roomId: this.roomId, ...fields }, times);
  }

  #assertUsable(body: RequestBody): void {
    if (this.#owner.requester.state === "disconnected") throw notConnected(body);
    if (this.ended) throw this.#notIn(body);
  }

  #notIn(body: RequestBody = { roomId: this.roomId }): DialogueError {
    return new DialogueError("NOT_IN_ROOM", `\`${this.roomId}\` was left`, concernOf(body));
  }

  #deliver(message: EventMessage): void {
    if (message.seq !== undefined) {
      const { length } = this.history;
      this.history = [message, ...this.history.slice(0, Math.max(MOST_RECENT, length) - 1)];
    }
    this.#handlers.call(message.event, message);
    this.#anyHandlers.call(message.event, message);
  }
}

/** Whether a failure to leave says that the client is not in the room anyway. */
function isOut(error: DialogueError): boolean {
  return /^(DISCONNECTED|NOT_IN_ROOM|ROOM_NOT_FOUND)$/.test(error.code);
}
