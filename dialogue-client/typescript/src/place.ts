import type { Epoch, EventMessage } from "./event-message.js";

/** A place in a room's log. */
export interface Position {
  /** The log's lifetime. */
  readonly epoch: Epoch;
  /** The last event before or at the place. */
  readonly seq: number;
}

/** Where a room's log ends, as the server says by itself. */
export interface End extends Position {
  /** The last event of each name that the client is subscribed to. */
  readonly last: Readonly<Record<string, number>>;
}

/**
 * What a stored event is to a place: the next one to hand over, one that was
 * seen already, one before which something is missing, or one of another log.
 */
export type Verdict = "next" | "seen" | "gap" | "foreign";

/** How far a client has come in a room's log, of the events whose names it follows. */
export class Place {
  declare readonly epoch: Epoch;
  /** From where to go on: not from after what is known to be missing. */
  declare seq: number;
  /** Up to where nothing is missing, of each name. */
  readonly #seen = new Map<string, number>();

  constructor({ epoch, seq }: Position, names: readonly string[]) {
    this.epoch = epoch;
    this.seq = seq;
    this.follow(names, seq);
  }

  /** Follows these names, too: what they had up to a place is not missing. */
  follow(names: readonly string[], after: number): void {
    for (const name of names) this.#seen.set(name, Math.max(this.#seen.get(name) ?? 0, after));
  }

  /** Follows the names that are new since it came here. */
  add(names: readonly string[]): void {
    this.follow(names.filter((name) => !this.#seen.has(name)), this.seq);
  }

  /** Judges a stored event: moves on to it, or back to where something is missing. */
  take({ event, epoch, seq = 0, prev = 0 }: EventMessage): Verdict {
    if (epoch !== this.epoch) return "foreign";
    // The server's own code may subscribe a member, which begins to follow the name by that.
    const seen = this.#seen.get(event) ?? prev;
    if (prev > seen) {
      // Events of other names may have come since the one that is missing.
      this.seq = Math.min(this.seq, seen);
      return "gap";
    }
    this.seq = Math.max(this.seq, seq);
    if (seq <= seen) return "seen";
    this.#seen.set(event, seq);
    return "next";
  }

  /** Whether something is missing, or this is another log: moves back to where something is. */
  isBehind({ epoch, seq, last }: End): boolean {
    if (epoch !== this.epoch) return true;
    let behind = false;
    for (const [name, seen] of this.#seen) {
      if (last[name]! > seen) {
        behind = true;
        this.seq = Math.min(this.seq, seen);
      }
    }
    if (!behind) this.told(0, seq);
    return behind;
  }

  /**
   * Everything was told that is between two places. A name that lacks something
   * before that does so still: its next event, or the server, tells.
   */
  told(from: number, to: number): void {
    this.seq = Math.max(this.seq, to);
    for (const [name, seen] of this.#seen) if (seen >= from) this.#seen.set(name, Math.max(seen, to));
  }

  /** The names whose events were missed, if the log ends there and a join brings none of them. */
  missed({ epoch, seq, last }: Position & Partial<End>): string[] {
    const names = [...this.#seen.keys()];
    if (epoch !== this.epoch || seq < this.seq || !last) return names;
    return names.filter((name) => last[name]! > this.#seen.get(name)!);
  }
}
