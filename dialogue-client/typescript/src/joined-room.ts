import type { AnyRoomContract } from "./contract.js";
import { DialogueError } from "./error.js";
import type { ErrorChannel } from "./error-channel.js";
import type { EventMessage } from "./event-message.js";
import { type Handler, Handlers, type Unsubscribe } from "./handlers.js";
import { Inbox } from "./inbox.js";
import { concernOf, type RequestBody, type Requester } from "./request.js";
import type { Receipt, TypedRoom } from "./room.js";

interface JoinAnswer {
  readonly roomName: string;
  readonly subscriptions: readonly string[];
  readonly events: readonly EventMessage[];
}

interface SubscriptionsAnswer {
  readonly subscriptions: readonly string[];
}

interface HistoryAnswer {
  readonly events: EventMessage[];
}

/** A room as it is at run time: its handlers, its events, and its requests. */
export class JoinedRoom implements Omit<TypedRoom<AnyRoomContract>, "on" | "getHistory"> {
  readonly roomId: string;
  roomName = "";
  history: readonly EventMessage[] = [];

  readonly #requester: Requester;
  readonly #errors: ErrorChannel;
  readonly #onLeave: (leaving: Promise<void>) => void;
  readonly #handlers = new Map<string, Handlers<[message: EventMessage]>>();
  readonly #anyHandlers = new Handlers<[event: string, message: EventMessage]>();
  readonly #inbox = new Inbox((message) => this.#deliver(message));
  #subscriptions: readonly string[] | undefined;
  #entering: Promise<void> | undefined;
  #asked = false;
  #doubtful = false;
  #left = false;

  constructor(
    roomId: string,
    subscribe: readonly string[] | undefined,
    requester: Requester,
    errors: ErrorChannel,
    onLeave: (leaving: Promise<void>) => void,
  ) {
    this.roomId = roomId;
    this.#subscriptions = subscribe;
    this.#requester = requester;
    this.#errors = errors;
    this.#onLeave = onLeave;
  }

  /** Whether the room was left, by {@link leave} or {@link retire}. */
  get left(): boolean {
    return this.#left;
  }

  /** Joins the room at the server, for the first time or again, with the subscriptions that it had. */
  enter(): Promise<void> {
    this.#inbox.hold();
    this.#entering = this.#join().finally(() => {
      this.#entering = undefined;
    });
    return this.#entering;
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
    this.#inbox.push(message);
  }

  on(event: string, handler: Handler<[message: EventMessage]>): Unsubscribe {
    let handlers = this.#handlers.get(event);
    if (!handlers) this.#handlers.set(event, (handlers = new Handlers()));
    return handlers.add(handler);
  }

  onAny(handler: Handler<[event: string, message: EventMessage]>): Unsubscribe {
    return this.#anyHandlers.add(handler);
  }

  trigger(event: string, data: unknown = null, meta?: Readonly<Record<string, unknown>>): Promise<Receipt> {
    return this.#errors.watch(this.#trigger({ event, data, ...(meta && { meta }) }));
  }

  subscribe(event: string): Promise<void> {
    return this.#errors.watch(this.#changeSubscriptions("dialogue:subscribe", { eventName: event }));
  }

  subscribeAll(): Promise<void> {
    return this.#errors.watch(this.#changeSubscriptions("dialogue:subscribeAll"));
  }

  unsubscribe(event: string): Promise<void> {
    return this.#errors.watch(this.#changeSubscriptions("dialogue:unsubscribe", { eventName: event }));
  }

  async getHistory(event: string, start = 0, end = 50): Promise<EventMessage[]> {
    const { events } = await this.#request<HistoryAnswer>("dialogue:getHistory", { eventName: event, start, end });
    return events;
  }

  leave(): Promise<void> {
    if (this.#left) return Promise.resolve();
    const leaving = this.#errors.watch(this.#leave());
    this.retire();
    this.#onLeave(leaving);
    return leaving;
  }

  /** Makes this room one that was left, without telling the server. */
  retire(): void {
    this.#left = true;
    this.#handlers.clear();
    this.#anyHandlers.clear();
    this.#inbox.discard();
  }

  async #join(): Promise<void> {
    try {
      const answer = await this.#ask();
      if (this.#left) return;
      this.roomName = answer.roomName;
      this.history = answer.events;
      this.#subscriptions = answer.subscriptions;
      this.#inbox.open(answer.events);
    } catch (error) {
      this.#inbox.discard();
      throw error;
    }
  }

  async #ask(): Promise<JoinAnswer> {
    this.#asked = true;
    try {
      let answer: JoinAnswer;
      do {
        this.#doubtful = false;
        answer = await this.#requester.request<JoinAnswer>("dialogue:join", {
          roomId: this.roomId,
          ...(this.#subscriptions && { subscribe: this.#subscriptions }),
        });
      } while (this.#doubtful && !this.#left);
      return answer;
    } finally {
      this.#asked = false;
    }
  }

  async #trigger(fields: RequestBody): Promise<Receipt> {
    const { epoch, seq } = await this.#request<Receipt>("dialogue:trigger", fields);
    return { ...(epoch !== undefined && { epoch }), ...(seq !== undefined && { seq }) };
  }

  async #changeSubscriptions(request: string, fields?: RequestBody): Promise<void> {
    const { subscriptions } = await this.#request<SubscriptionsAnswer>(request, fields);
    this.#subscriptions = subscriptions;
  }

  async #leave(): Promise<void> {
    try {
      await this.#requester.request("dialogue:leave", { roomId: this.roomId });
    } catch (error) {
      if (!isOut(error)) throw error;
    }
  }

  /** Sends a request about this room, at once unless the room is being joined again. */
  async #request<Answer>(name: string, fields: RequestBody = {}): Promise<Answer> {
    if (this.#entering) await this.#entering.catch(() => {});
    const body = { roomId: this.roomId, ...fields };
    if (this.#left && this.#requester.state === "connected") {
      throw new DialogueError("NOT_IN_ROOM", `the room \`${this.roomId}\` was left`, concernOf(body));
    }
    return await this.#requester.request<Answer>(name, body);
  }

  #deliver(message: EventMessage): void {
    this.#handlers.get(message.event)?.call(message);
    this.#anyHandlers.call(message.event, message);
  }
}

const OUT: readonly string[] = ["DISCONNECTED", "NOT_IN_ROOM", "ROOM_NOT_FOUND"];

/** Whether a failure to leave says that the client is not in the room anyway. */
function isOut(error: unknown): boolean {
  return error instanceof DialogueError && OUT.includes(error.code);
}
