import { DialogueError } from "./error.js";
import type { ErrorChannel } from "./error-channel.js";
import type { EventMessage } from "./event-message.js";
import { JoinedRoom } from "./joined-room.js";
import type { Requester } from "./request.js";

/** The rooms that a client has joined, is joining or is leaving: at most one object per room id. */
export class Rooms {
  readonly #requester: Requester;
  readonly #errors: ErrorChannel;
  readonly #rooms = new Map<string, JoinedRoom>();
  readonly #joining = new Map<string, Promise<JoinedRoom>>();
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(requester: Requester, errors: ErrorChannel) {
    this.#requester = requester;
    this.#errors = errors;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** The room of this id, if it is joined. */
  get(roomId: string): JoinedRoom | undefined {
    return this.#joining.has(roomId) ? undefined : this.#rooms.get(roomId);
  }

  /** The room of this id: the joined one, the one that is being joined, or a new one. */
  async join(roomId: string, subscribe: readonly string[] | undefined): Promise<JoinedRoom> {
    const known = this.#joining.get(roomId) ?? this.#rooms.get(roomId);
    if (known) return known;
    const joining = this.#enter(roomId, subscribe).finally(() => {
      if (this.#joining.get(roomId) === joining) this.#joining.delete(roomId);
    });
    this.#joining.set(roomId, joining);
    return joining;
  }

  /** Hands an event to its room. Those of rooms that this client did not ask for are dropped. */
  receive(message: EventMessage): void {
    this.#rooms.get(message.roomId)?.receive(message);
  }

  /**
   * Joins every room again, on a new connection. Resolves when each was
   * answered; a room that is refused is no longer joined, and reported.
   */
  async rejoin(): Promise<void> {
    await Promise.all([...this.#rooms.values()].map((room) => this.#reenter(room)));
  }

  /** Forgets a room that the server has deleted. One that is being joined may be a new one of that id. */
  delete(roomId: string): void {
    const room = this.#rooms.get(roomId);
    if (!room || room.doubt()) return;
    room.retire();
    this.#remove(room);
  }

  /** Forgets every room, without telling the server. */
  clear(): void {
    for (const room of this.#rooms.values()) room.retire();
    this.#rooms.clear();
    this.#joining.clear();
    this.#leaving.clear();
  }

  async #enter(roomId: string, subscribe: readonly string[] | undefined): Promise<JoinedRoom> {
    // Events of the old membership still come in until the server has answered the leave.
    const leaving = this.#leaving.get(roomId);
    if (leaving) await leaving.catch(() => {});
    const room = new JoinedRoom(roomId, subscribe, this.#requester, this.#errors, (leaving) => {
      this.#remove(room);
      this.#remember(roomId, leaving);
    });
    this.#rooms.set(roomId, room);
    try {
      await room.enter();
    } catch (error) {
      this.#remove(room);
      throw error;
    }
    if (room.left) {
      throw new DialogueError("DISCONNECTED", "the client was disconnected while it was joining", { roomId });
    }
    return room;
  }

  async #reenter(room: JoinedRoom): Promise<void> {
    try {
      await room.enter();
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      // The next connection tries again.
      if (error.code === "DISCONNECTED") return;
      if (error.code !== "TIMEOUT") {
        room.retire();
        this.#remove(room);
      }
      this.#errors.report(error);
    }
  }

  #remember(roomId: string, leaving: Promise<void>): void {
    this.#leaving.set(roomId, leaving);
    const forget = () => {
      if (this.#leaving.get(roomId) === leaving) this.#leaving.delete(roomId);
    };
    leaving.then(forget, forget);
  }

  #remove(room: JoinedRoom): void {
    if (this.#rooms.get(room.roomId) === room) this.#rooms.delete(room.roomId);
  }
}
