import type { DialogueClient } from "../dialogue-client.js";
import { DialogueError } from "../error.js";
import type { Unsubscribe } from "../handlers.js";
import { retryDelay } from "../retry.js";
import type { Room } from "../room.js";
import type { RoomState } from "../room-state.js";
import { Store } from "./store.js";

/** A room as its components see it. */
export interface SharedRoomValue {
  readonly room: Room | undefined;
  readonly state: RoomState;
  readonly error: DialogueError | undefined;
  readonly retry: () => void;
}

/** A room that nobody has answered for yet. */
export const JOINING: SharedRoomValue = { room: undefined, state: "joining", error: undefined, retry: () => {} };

/** One room for every component that uses it: joined on each connection, until it is closed. */
export class SharedRoom extends Store<SharedRoomValue> {
  readonly #client: DialogueClient;
  readonly #roomId: string;
  readonly #registrations: readonly Unsubscribe[];
  #joining: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #stopListening: Unsubscribe = () => {};

  constructor(client: DialogueClient, roomId: string) {
    super({ ...JOINING, retry: () => this.join() });
    this.#client = client;
    this.#roomId = roomId;
    this.#registrations = [
      client.onState((state) => {
        if (state === "connected") this.join();
      }),
      // It was not there, or has been deleted.
      client.onRoomCreated(({ id }) => {
        if (id === roomId) this.join();
      }),
    ];
  }

  /** Joins the room, unless that is done or under way: also one that was left, or refused. */
  join(): void {
    if (this.#closed || this.#joining || this.value.room || !this.#client.connected) return;
    void this.#join((this.#joining = new AbortController()));
  }

  close(): void {
    this.#closed = true;
    for (const unregister of this.#registrations) unregister();
    clearTimeout(this.#timer);
    this.#joining?.abort();
    // Others may stay in the room.
    this.#stopListening();
    void this.value.room?.leave();
  }

  async #join(joining: AbortController): Promise<void> {
    clearTimeout(this.#timer);
    // The reason why it was refused stands until there is an answer.
    this.#tell(undefined, "joining", this.value.error);
    try {
      const room = await this.#client.join(this.#roomId, { signal: joining.signal });
      this.#joining = undefined;
      this.#joined(room);
    } catch (error) {
      this.#joining = undefined;
      if (joining.signal.aborted) return;
      if (!(error instanceof DialogueError)) throw error;
      this.#failed(error);
    }
  }

  #joined(room: Room): void {
    const tell = (state: RoomState, error?: DialogueError) => {
      const ended = state === "left" || state === "denied";
      this.#tell(ended ? undefined : room, state, error);
    };
    this.#stopListening();
    this.#stopListening = room.onState(tell);
    // Whoever else waited for it may have left it already.
    tell(room.state);
  }

  #failed(error: DialogueError): void {
    // The next connection asks again.
    if (error.code === "DISCONNECTED") return;
    const delay = retryDelay(error);
    this.#tell(undefined, delay === undefined ? "denied" : "joining", error);
    if (delay !== undefined) this.#timer = setTimeout(() => this.join(), delay);
  }

  #tell(room: Room | undefined, state: RoomState, error: DialogueError | undefined): void {
    this.set({ ...this.value, room, state, error });
  }
}
