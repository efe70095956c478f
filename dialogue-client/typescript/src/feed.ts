import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { HistoryPage } from "./history.js";
import { type End, Place, type Position } from "./place.js";
import { moreTimes, pageSize, pauseMs, retryDelay } from "./retry.js";

/** How many events are held while a room is being joined or a range is fetched. What is more is fetched afterwards. */
const MOST_HELD = 1_000;

/** How many events are fetched in a row. If more are missing, the feed calls `lose`. */
const MOST_FETCHED = 10_000;

/** Whom a feed is for. */
export interface FeedOwner {
  /** Asks for up to so many events that the log has after a place, oldest first; waits for so many times as long as usual. */
  fetch(after: number, limit: number, times: number): Promise<HistoryPage>;
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
  /** The last stored event of each name that was not held, until a page has ended at or after it. */
  readonly #unheld = new Map<string, EventMessage>();
  /** Where the log ends, as the server said last, until everything up to it was seen. */
  #end: End | undefined;
  /** The fetch that is going on; another one, or none, once it is to stop. */
  #fetching: object | undefined;
  /** How many times as long as usual it waits for a page, since pages came too late. */
  #times = 1;
  /** How many events were fetched in a row. */
  #fetched = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: FeedOwner) {
    this.#owner = owner;
  }

  /** How far it has come, if the room was joined before. */
  get since(): Place | undefined {
    return this.#place;
  }

  /** Takes in an event. */
  push(message: EventMessage): void {
    if (!this.#held) this.#take(message);
    else if (this.#held.length < MOST_HELD) this.#held.push(message);
    else if (message.seq !== undefined) this.#unheld.set(message.event, message);
  }

  /** Takes in where the server says that the log ends. */
  heardOf(end: End): void {
    this.#end = end;
    if (this.#held) return;
    // A log that ends before what was seen of it has lost events.
    if (end.seq < this.#place?.seq!) void this.#fetch();
    else this.#compare();
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

  /**
   * Goes on from {@link since} with everything that was missed, oldest first, up to the end, with stored events of these
   * names. If there is `more` than that, it is fetched.
   */
  resume(missed: readonly EventMessage[], end: End, names: readonly string[], more = false): void {
    const place = this.#place!;
    // Nothing is stored there.
    if (end.epoch !== place.epoch) return this.begin(end, names);
    // Another version of the server may store other names.
    place.add(names);
    // What was lost before the place that the join named is missing still.
    this.#end = end;
    for (const message of missed) {
      const verdict = place.take(message);
      if (verdict === "next") this.#owner.deliver(message);
      else if (verdict === "gap") return void this.#fetch();
    }
    if (more) void this.#fetch();
  }

  /** Hands over what was held, and from then on what comes. */
  release(): void {
    while (this.#held && !this.#fetching) {
      const message = this.#held.shift();
      if (message) {
        if (!this.#take(message)) return;
      } else if (this.#unheld.size > 0) void this.#fetch();
      else this.#held = undefined;
    }
    if (!this.#held) this.#compare();
  }

  /** Fetches what the log has up to the end that the server has said, unless that was seen. */
  #compare(): void {
    if (this.#end && this.#place?.isBehind(this.#end)) void this.#fetch();
    else this.#end = undefined;
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
    this.#unheld.clear();
    this.#fetched = 0;
  }

  /** Hands over an event unless it was seen; returns false where it has to wait for others, with which it comes. */
  #take(message: EventMessage): boolean {
    const verdict = message.seq === undefined ? "next" : this.#place?.take(message);
    if (verdict === "next") this.#owner.deliver(message);
    else if (verdict === "gap") {
      (this.#held ??= []).unshift(message);
      void this.#fetch();
    } else if (verdict === "foreign") this.#lose();
    return verdict === "next" || verdict === "seen";
  }

  /** Fetches everything after the place, page by page, before it goes on. */
  async #fetch(): Promise<void> {
    this.#held ??= [];
    const place = this.#place!;
    const fetching = (this.#fetching = {});
    const stopped = () => this.#fetching !== fetching;
    let from = place.seq;
    try {
      for (let complete = false; !complete; ) {
        const ends = [...this.#held, ...this.#unheld.values(), this.#end];
        const page = await this.#owner.fetch(place.seq, pageSize(this.#times), this.#times);
        if (stopped()) return;
        const isOther = page.epoch !== place.epoch || page.seq < place.seq;
        if (isOther || (!page.complete && page.events.length === 0)) return this.#lose();
        complete = page.complete;
        let isMissing = false;
        // The log may have dropped events since they came.
        const came = [...this.#held, ...this.#unheld.values()].filter(({ seq }) => complete && seq! <= page.seq);
        for (const message of [...page.events, ...came]) {
          const verdict = place.take(message);
          if (verdict === "foreign") return this.#lose();
          if ((isMissing = verdict === "gap")) break;
          if (verdict === "next") this.#owner.deliver(message);
          if (stopped()) return;
        }
        // Of some names, nothing may be kept.
        isMissing ||= complete && this.#end?.seq! <= page.seq && place.isBehind(this.#end!);
        if (isMissing) {
          // It is no longer kept, unless it is from before what was asked for.
          if (place.seq >= from) return this.#lose();
          from = place.seq;
          complete = false;
        }
        // The server said that the log ends later. A join at once might say the same, and the next page, too.
        if (complete && ends.some((end) => end?.seq! > page.seq)) {
          this.#timer = setTimeout(() => this.#lose(), pauseMs());
          return;
        }
        if (complete) {
          place.told(from, page.seq);
          for (const [name, { seq }] of this.#unheld) if (seq! <= page.seq) this.#unheld.delete(name);
        } else if ((this.#fetched += page.events.length) >= MOST_FETCHED) return this.#lose();
      }
      this.#fetching = undefined;
      this.#fetched = 0;
      this.#times = 1;
      this.release();
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      // Without a connection, the next join goes on.
      if (stopped() || error.code === "DISCONNECTED") return;
      if (error.code === "TIMEOUT") this.#times = moreTimes(this.#times);
      const delay = retryDelay(error);
      this.#timer = setTimeout(() => (delay === undefined ? this.#lose() : void this.#fetch()), delay ?? pauseMs());
    }
  }

  #lose(): void {
    this.hold();
    this.#owner.lose();
  }
}
