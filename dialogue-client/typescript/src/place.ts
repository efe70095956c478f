import type { Epoch, EventMessage } from "./event-message.js";

/** A place in a room's log. */
export interface Position {
  /** The log's lifetime. */
  readonly epoch: Epoch;
  /** The last event before or at the place. */
  readonly seq: number;
}

/**
 * What a stored event is to a place: the next one to hand over, one that was
 * seen already, one before which something is missing, or one of another log.
 */
export type Verdict = "next" | "seen" | "gap" | "foreign";

/** How far a client has come in a room's log. */
export class Place {
  readonly epoch: Epoch;
  #seq: number;
  /** Up to where everything was told, whatever its name. */
  #whole: number;
  /** The last event of each name that came since. */
  readonly #last = new Map<string, number>();

  constructor({ epoch, seq }: Position) {
    this.epoch = epoch;
    this.#seq = seq;
    this.#whole = seq;
  }

  get seq(): number {
    return this.#seq;
  }

  /** Whether something after this place is in the log, or this is another log. */
  isBefore({ epoch, seq }: Position): boolean {
    return epoch !== this.epoch || seq > this.#seq;
  }

  /** Judges a stored event: moves on to it, or back to where something is missing. */
  take({ event, epoch, seq = 0, prev = 0 }: EventMessage): Verdict {
    if (epoch !== this.epoch) return "foreign";
    const last = this.#last.get(event) ?? this.#whole;
    if (prev > last) {
      // Events of other names may have come since the one that is missing.
      this.#seq = Math.min(this.#seq, last);
      return "gap";
    }
    this.#seq = Math.max(this.#seq, seq);
    if (seq <= last) return "seen";
    this.#last.set(event, seq);
    return "next";
  }

  /** More names are subscribed to from here on: what they had before is not missing. */
  widen(): void {
    this.#whole = this.#seq;
  }

  /** Moves on to where the server has told everything up to. */
  complete(seq: number): void {
    this.#seq = this.#whole = Math.max(this.#seq, seq);
    this.#last.clear();
  }
}
