import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import { type Handler, Handlers, type Unsubscribe } from "./handlers.js";
import type { End, Position } from "./place.js";
import type { RequestBody } from "./request.js";
import { moreTimes, pageSize, retryDelay } from "./retry.js";
import type { RoomState } from "./room-state.js";

/** The server's answer to a join. */
export interface JoinAnswer extends Position {
  readonly roomName: string;
  readonly subscriptions: readonly string[];
  /** Names that the join asked for and the room does not have, where there are some. */
  readonly unknownEvents?: readonly string[];
  /** Names of the room's events that are stored. */
  readonly stored: readonly string[];
  /** Whether `events` are all that was missed; absent for a first join. */
  readonly recovered?: boolean;
  /** The last event of each name that the client is subscribed to; absent for a first join. */
  readonly last?: End["last"];
  /** The room's newest events, newest first; those that were missed, oldest first. */
  readonly events: readonly EventMessage[];
  /** Whether the log has older ones; if `recovered`, whether it has later ones than these, up to `seq`. */
  readonly more: boolean;
}

/** Whose membership it is. */
export interface MembershipOwner {
  /** Sends a request about the room. */
  request<Answer>(name: string, fields: RequestBody, times: number): Promise<Answer>;
  /** How far the client has come in the room, if it was in it before. */
  since(): Position | undefined;
  /** The room is not joined at the moment. */
  paused(): void;
  /** The server has let the client in: takes in what it says, then calls {@link Membership.complete}. */
  joined(answer: JoinAnswer): void;
  /** The client is not let in again. */
  denied(refusal: DialogueError): void;
  /** A join was refused that nobody waits for. */
  failed(refusal: DialogueError): void;
  /** The app asked for an event that the room does not have. */
  lacks(event: string): void;
}

/**
 * Refusals that pass: a place in a full room may be one's own former connection's, a hook may have been too slow, or an
 * answer not read in time.
 */
const PASSING = /^(ROOM_FULL|INTERNAL|LIMIT_EXCEEDED)$/;
/** How long to wait after one, in milliseconds. */
const PASSING_MS = 1_000;

/** A client's membership of a room: how it is come by, and come by again. */
export class Membership {
  /** What the client is subscribed to, as the server has said. */
  subscriptions: readonly string[] = [];
  /** Names of the room's events that are stored, as the last join has said. */
  stored: readonly string[] = [];

  readonly #owner: MembershipOwner;
  readonly #stateHandlers = new Handlers<[state: RoomState, refusal?: DialogueError]>();
  #state: RoomState = "joining";
  #entering: Promise<void> | undefined;
  /** Changes of the subscriptions that the server has not answered yet. */
  readonly #changes = new Set<Promise<void>>();
  /** Whether the app wants the room's defaults: another version of the server may have others. */
  #defaults: boolean;
  /** The events that the app has asked for by name. */
  #named: Set<string>;
  /** Events that the room does not have, as the server has said on this connection. */
  readonly #unknown = new Set<string>();
  #asked = false;
  #doubtful = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #refusal: string | undefined;
  /** How many times as long as usual it waits for the answer to a join, since answers came too late. */
  #times = 1;

  constructor(subscribe: readonly string[] | undefined, owner: MembershipOwner) {
    this.#defaults = !subscribe;
    this.#named = new Set(subscribe);
    this.#owner = owner;
  }

  get state(): RoomState {
    return this.#state;
  }

  /** Whether it is over: the client left, or was not let in again. */
  get ended(): boolean {
    return this.#state === "left" || this.#state === "denied";
  }

  onState(handler: Handler<[state: RoomState, refusal?: DialogueError]>): Unsubscribe {
    return this.#stateHandlers.add(handler);
  }

  /** Joins the room at the server, for the first time or again, with what the app wants and the place that it had. */
  enter(): Promise<void> {
    this.#owner.paused();
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
      this.#times = 1;
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      // The next connection tries again.
      if (this.ended || error.code === "DISCONNECTED") return;
      if (error.code !== this.#refusal) this.#owner.failed(error);
      this.#refusal = error.code;
      if (error.code === "TIMEOUT") this.#times = moreTimes(this.#times);
      const delay = PASSING.test(error.code) ? PASSING_MS : retryDelay(error);
      if (delay === undefined) this.#owner.denied(error);
      else if (!this.ended) this.#retry = setTimeout(() => void this.reenter(), delay);
    }
  }

  /** Resolves when the join that is going on is answered; `undefined` if there is none. */
  get entering(): Promise<void> | undefined {
    return this.#entering?.catch(() => {});
  }

  /** Lets joins wait for a change of the subscriptions, which they would undo: they name those that there were. */
  change(change: Promise<void>): Promise<void> {
    this.#changes.add(change);
    return change.finally(() => this.#changes.delete(change));
  }

  /** The app has subscribed to an event: joins ask for it, too. */
  want(event: string): void {
    this.#named.add(event);
  }

  /**
   * The app has unsubscribed from an event: joins ask for what is left, whatever the room's defaults are. What the room
   * lacks is asked for again on the next connection: the server's next version may have it.
   */
  keep(unsubscribed: string): void {
    this.#defaults = false;
    this.#named.delete(unsubscribed);
    if (!this.subscriptions.includes("*")) this.#named.delete("*");
    this.#named = new Set([...this.subscriptions, ...this.#named]);
  }

  /** The connection is lost; {@link reenter} comes with the next one. */
  suspend(): void {
    clearTimeout(this.#retry);
    this.#unknown.clear();
    this.#owner.paused();
    if (this.#state === "joined") this.#become("rejoining");
  }

  /**
   * Doubts the answer to the join that it waits for, which may be from before or
   * after what has just happened to the room: it asks once more. Returns false,
   * and does nothing, if it waits for none.
   */
  doubt(): boolean {
    this.#doubtful = this.#asked;
    return this.#asked;
  }

  /** What the join has brought is taken in. */
  complete(): void {
    this.#become("joined");
  }

  /** The client is in the room no longer, and does not come back. */
  end(state: "left" | "denied", refusal?: DialogueError): void {
    clearTimeout(this.#retry);
    this.#become(state, refusal);
    this.#stateHandlers.clear();
  }

  async #join(): Promise<void> {
    const answer = await this.#ask();
    if (!answer || this.ended) return;
    this.subscriptions = answer.subscriptions;
    this.stored = answer.stored;
    for (const event of answer.unknownEvents ?? []) this.#lack(event);
    if (this.ended) return;
    this.#owner.joined(answer);
  }

  async #ask(): Promise<JoinAnswer | undefined> {
    try {
      let answer: JoinAnswer;
      do {
        while (this.#changes.size > 0) await Promise.allSettled(this.#changes);
        if (this.ended) return;
        this.#asked = true;
        this.#doubtful = false;
        const subscribe = this.#subscribe();
        const defaults = (this.#defaults && subscribe !== undefined) || undefined;
        const since = this.#owner.since();
        const limit = this.#times > 1 ? pageSize(this.#times) : undefined;
        answer = await this.#owner.request<JoinAnswer>("dialogue:join", { subscribe, defaults, since, limit }, this.#times);
      } while (this.#doubtful && !this.ended);
      return answer;
    } finally {
      this.#asked = false;
    }
  }

  /** The names that a join asks for; `undefined` where the app wants the room's defaults alone. */
  #subscribe(): string[] | undefined {
    if (this.#defaults && this.#named.size === 0) return undefined;
    return [...this.#named].filter((event) => !this.#unknown.has(event));
  }

  #lack(event: string): void {
    if (this.#unknown.has(event)) return;
    this.#unknown.add(event);
    if (this.#named.has(event)) this.#owner.lacks(event);
  }

  #become(state: RoomState, refusal?: DialogueError): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#stateHandlers.call(state, refusal);
  }
}
