import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { HistoryPage } from "./history.js";
import { type End, Place, type Position } from "./place.js";
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
  /** What the server said meanwhile of where the log ends. */
  #end: End | undefined;
  /** The fetch that is going on; another one, or none, once it is to stop. */
  #fetching: object | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: FeedOwner) {
    this.#owner = owner;
  }

  /** How far it has come, if the room was joined before. */
  get since(): Position | undefined {
    return this.#place;
  }

  /** Takes in an event. */
  push(message: EventMessage): void {
    if (!this.#held) this.#take(message);
    else if (this.#held.length < MOST_HELD) this.#held.push(message);
    else this.#behind = true;
  }

  /** Takes in where the server says that the log ends. */
  heardOf(end: End): void {
    if (this.#held) this.#end = end;
    // A log that ends before what was seen of it has lost events.
    else if (this.#place && end.seq < this.#place.seq) void this.#fetch();
    else this.#compare(end);
  }

  /** Stored events of these names come, too, from a place on. */
  follow(names: readonly string[], after: number): void {
    this.#place?.follow(names, after);
  }

  /** Holds what comes from now on, in place of what was held: that comes with the next join. */
  hold(): void {
    this.discard();
    this.#held = [];
  }

  /** Goes on from a new place, with stored events of these names. */
  begin(position: Position, names: readonly string[]): void {
    this.#place = new Place(position, names);
  }

  /** Goes on from {@link since} with everything that was missed, oldest first, up to the end; in another log, with these names. */
  resume(missed: readonly EventMessage[], end: End, names: readonly string[]): void {
    const place = this.#place!;
    // Nothing is stored there.
    if (end.epoch !== place.epoch) return this.begin(end, names);
    // What was lost before the place that the join named is missing still.
    this.#end = end;
    for (const message of missed) {
      const verdict = place.take(message);
      if (verdict === "next") this.#owner.deliver(message);
      else if (verdict === "gap") return void this.#fetch();
    }
  }

  /** Hands over what was held, and from then on what comes. */
  release(): void {
    while (this.#held && !this.#fetching) {
      const message = this.#held.shift();
      if (message) {
        if (!this.#take(message)) return;
      } else if (this.#behind) void this.#fetch();
      else this.#held = undefined;
    }
    if (this.#held) return;
    const end = this.#end;
    this.#end = undefined;
    // What was fetched may be newer.
    if (end) this.#compare(end);
  }

  #compare(end: End): void {
    if (this.#place?.isBehind(end)) void this.#fetch();
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
    this.#held = this.#fetching = this.#end = undefined;
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
    let from = place.seq;
    try {
      for (let complete = false; !complete; ) {
        const page = await this.#owner.fetch(place.seq);
        if (stopped()) return;
        const isOther = page.epoch !== place.epoch || page.seq < place.seq;
        if (isOther || (!page.complete && page.events.length === 0)) return this.#lose();
        complete = page.complete;
        for (const message of page.events) {
          const verdict = place.take(message);
          if (verdict === "gap") {
            // Its predecessors are no longer kept, unless they are from before what was asked for.
            if (place.seq >= from) return this.#lose();
            from = place.seq;
            complete = false;
            break;
          }
          if (verdict === "next") this.#owner.deliver(message);
          if (stopped()) return;
        }
        if (complete) place.told(from, page.seq);
      }
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
