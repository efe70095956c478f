import { abortable, throwIfAborted } from "./abortable.js";
import { DialogueError } from "./error.js";
import type { EventMessage } from "./event-message.js";
import type { JoinOptions } from "./join-arguments.js";
import { type Holders, JoinedRoom, type RoomOwner } from "./joined-room.js";
import type { End } from "./place.js";

interface Joining {
  readonly room: Promise<JoinedRoom>;
  readonly holders: Holders;
}

/** The rooms that a client has joined, is joining or is leaving: at most one object per room id. */
export class Rooms {
  readonly #owner: RoomOwner;
  readonly #rooms = new Map<string, JoinedRoom>();
  readonly #joining = new Map<string, Joining>();
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(owner: Omit<RoomOwner, "removed">) {
    this.#owner = { ...owner, removed: (room, leaving) => this.#removed(room, leaving) };
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** The room of this id, if it is joined. */
  get(roomId: string): JoinedRoom | undefined {
    return this.#joining.has(roomId) ? undefined : this.#rooms.get(roomId);
  }

  /** The room of this id: the joined one, the one that is being joined, or a new one. */
  async join(roomId: string, { subscribe, signal }: JoinOptions = {}): Promise<JoinedRoom> {
    throwIfAborted(signal);
    const joined = this.get(roomId);
    if (joined) {
      joined.holders.count++;
      return joined;
    }
    const { room, holders } = this.#joining.get(roomId) ?? this.#begin(roomId, subscribe);
    holders.count++;
    try {
      return await abortable(room, signal);
    } catch (error) {
      holders.count--;
      throw error;
    }
  }

  /** Hands an event to its room. Those of rooms that this client did not ask for are dropped. */
  receive(message: EventMessage): void {
    this.#rooms.get(message.roomId)?.receive(message);
  }

  /** Tells a room where its log ends. */
  heardOf(roomId: string, end: End): void {
    this.#rooms.get(roomId)?.heardOf(end);
  }

  /** The connection is lost. */
  suspend(): void {
    for (const room of this.#rooms.values()) room.suspend();
  }

  /** No connection is on its way any more. */
  forsake(): void {
    for (const room of this.#rooms.values()) room.forsake();
  }

  /** Joins every room again, on a new connection, but those that are being joined on it already. Resolves when each was answered. */
  async rejoin(): Promise<void> {
    await Promise.all([...this.#rooms.keys()].map((roomId) => this.get(roomId)?.reenter()));
  }

  /** Forgets a room that the server has deleted, or has made the client leave. One that is being joined may be a new one. */
  remove(roomId: string): void {
    const room = this.#rooms.get(roomId);
    if (room && !room.doubt()) room.retire();
  }

  /** Forgets every room, without telling the server; `reason` is why, where the server wants it so. */
  clear(reason?: DialogueError): void {
    for (const room of this.#rooms.values()) room.retire("left", reason);
    this.#joining.clear();
    this.#leaving.clear();
  }

  #begin(roomId: string, subscribe: readonly string[] | undefined): Joining {
    const holders = { count: 0 };
    const room = this.#enter(roomId, subscribe, holders).finally(() => {
      if (this.#joining.get(roomId) === joining) this.#joining.delete(roomId);
    });
    const joining: Joining = { room, holders };
    this.#joining.set(roomId, joining);
    room.then(
      (unwanted) => {
        if (holders.count === 0) void unwanted.leave();
      },
      () => {},
    );
    return joining;
  }

  async #enter(roomId: string, subscribe: readonly string[] | undefined, holders: Holders): Promise<JoinedRoom> {
    // Events of the old membership still come in until the server has answered the leave.
    const leaving = this.#leaving.get(roomId);
    if (leaving) await leaving.catch(() => {});
    const room = new JoinedRoom(roomId, subscribe, holders, this.#owner);
    this.#rooms.set(roomId, room);
    try {
      await room.enter();
    } catch (error) {
      // The server may have let the client in.
      if ((error as DialogueError).code === "TIMEOUT") void room.quit();
      else room.retire();
      throw error;
    }
    if (room.ended) {
      throw new DialogueError("DISCONNECTED", "the client was disconnected", { roomId });
    }
    return room;
  }

  #removed(room: JoinedRoom, leaving?: Promise<void>): void {
    const { roomId } = room;
    if (this.#rooms.get(roomId) === room) this.#rooms.delete(roomId);
    if (!leaving) return;
    this.#leaving.set(roomId, leaving);
    leaving
      .catch(() => {})
      .then(() => {
        if (this.#leaving.get(roomId) === leaving) this.#leaving.delete(roomId);
      });
  }
}
