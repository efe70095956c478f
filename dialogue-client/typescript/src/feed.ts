import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { HistoryPage } from "./history.js";
import { Place, type Position } from "./place.js";
import { retryDelay } from "./retry.js";

/** How many events are held while a room is being joined or a range is fetched. What is more is fetched afterwards. */
const MOST_HELD = 1_000;

/** Whom a feed is for. */
export interface FeedOwner {
  /** Asks for what the log has after a place, oldest first. */
  fetch(after: number): Promise<HistoryPage>;
  /** Hands over an event. */
  deliver(message: EventMessage): void;
  /** What is missing cannot be told any more: only a join says where to go on. */
  lose(): void;
}

/**
 * A room's events, as the server promises them: stored ones once and in order,
 * with what is missing fetched before anything later; ephemeral ones as they
 * come. While the room is being joined, or a range is fetched, they are held.
 */
export class Feed {
  readonly #owner: FeedOwner;
  #place: Place | undefined;
  #held: EventMessage[] | undefined;
  /** Whether more is in the log than what is held. */
  #behind = false;
  /** The fetch that is going on; another one, or none, once it is to stop. */
  #fetching: object | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: FeedOwner) {
    this.#owner = owner;
  }

  /** How far it has come, if the room was joined before. */
  get since(): Position | undefined {
    return this.#place && { epoch: this.#place.epoch, seq: this.#place.seq };
  }

  /** Takes in an event. */
  push(message: EventMessage): void {
    if (!this.#held) this.#take(message);
    else if (this.#held.length < MOST_HELD) this.#held.push(message);
    else this.#behind = true;
  }

  /** Takes in where the server says that the log ends. */
  heardOf(position: Position): void {
    if (!this.#place?.isBefore(position)) return;
    if (this.#held) this.#behind = true;
    else void this.#fetch();
  }

  /** Events of other names come from now on, too. */
  widen(): void {
    this.#place?.widen();
  }

  /** Holds what comes from now on, in place of what was held: that comes with the next join. */
  hold(): void {
    this.discard();
    this.#held = [];
  }

  /** Goes on from a new place. */
  begin(position: Position): void {
    this.#place = new Place(position);
  }

  /** Goes on from {@link since} with everything that was missed, oldest first, up to `position`. */
  resume(missed: readonly EventMessage[], position: Position): void {
    const place = this.#place!;
    for (const message of missed) {
      if (place.take(message) !== "seen") this.#owner.deliver(message);
    }
    place.complete(position.seq);
  }

  /** Hands over what was held, and from then on what comes. */
  release(): void {
    while (this.#held) {
      const message = this.#held.shift();
      if (message) {
        if (!this.#take(message)) return;
      } else if (this.#behind) {
        return void this.#fetch();
      } else {
        this.#held = undefined;
      }
    }
  }

  /**
   * Does the same in the next macrotask: by then everything has run that awaits
   * the join through promises alone, and with it the registration of handlers.
   */
  releaseSoon(): void {
    this.#timer = setTimeout(() => this.release());
  }

  /** Forgets what is held, and stops fetching. */
  discard(): void {
    clearTimeout(this.#timer);
    this.#held = this.#fetching = undefined;
    this.#behind = false;
  }

  /** Hands over an event unless it was seen; returns false where it has to wait for others, with which it comes. */
  #take(message: EventMessage): boolean {
    const verdict = message.seq === undefined ? "next" : this.#place?.take(message);
    if (verdict === "next") this.#owner.deliver(message);
    else if (verdict === "gap") void this.#fetch();
    else if (verdict === "foreign") this.#lose();
    return verdict === "next" || verdict === "seen";
  }

  /** Fetches everything after the place, page by page, before it goes on. */
  async #fetch(): Promise<void> {
    this.#held ??= [];
    this.#behind = false;
    const place = this.#place!;
    const fetching = (this.#fetching = {});
    const stopped = () => this.#fetching !== fetching;
    try {
      let page: HistoryPage;
      do {
        page = await this.#owner.fetch(place.seq);
        if (stopped()) return;
        if (page.epoch !== place.epoch || (!page.complete && page.events.length === 0)) return this.#lose();
        for (const message of page.events) {
          const verdict = place.take(message);
          // Its predecessors are no longer kept.
          if (verdict === "gap") return this.#lose();
          if (verdict === "next") this.#owner.deliver(message);
          if (stopped()) return;
        }
      } while (!page.complete);
      place.complete(page.seq);
      this.#fetching = undefined;
      this.release();
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      // Without a connection, the next join goes on.
      if (stopped() || error.code === "DISCONNECTED") return;
      const delay = retryDelay(error);
      if (delay === undefined) this.#lose();
      else this.#timer = setTimeout(() => void this.#fetch(), delay);
    }
  }

  #lose(): void {
    this.hold();
    this.#owner.lose();
  }
}
