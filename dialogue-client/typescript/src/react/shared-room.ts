import type { DialogueClient } from "../dialogue-client.js";
import { DialogueError } from "../error.js";
import { retryDelay } from "../retry.js";
import type { Room } from "../room.js";
import type { RoomState } from "../room-state.js";
import { Store } from "./store.js";

/** A room as its components see it. */
export interface SharedRoomValue {
  readonly room: Room | undefined;
  readonly state: RoomState;
  readonly error: DialogueError | undefined;
}

/** A room that nobody has answered for yet. */
export const JOINING: SharedRoomValue = { room: undefined, state: "joining", error: undefined };

/** One room for every component that uses it: joined on each connection, until it is closed. */
export class SharedRoom extends Store<SharedRoomValue> {
  readonly #client: DialogueClient;
  readonly #roomId: string;
  readonly #forgetClient: () => void;
  /** What components named, and whether some want the room's defaults. */
  readonly #named = new Set<string>();
  #defaults = false;
  #joining: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(client: DialogueClient, roomId: string) {
    super(JOINING);
    this.#client = client;
    this.#roomId = roomId;
    this.#forgetClient = client.onConnect(() => void this.#join());
  }

  /** A component wants these events, or the room's defaults; a room that was refused is asked for again. */
  want(subscribe: readonly string[] | undefined): void {
    if (subscribe === undefined) this.#defaults = true;
    else this.#name(subscribe);
    // By then every component that is mounted with this one has said what it wants.
    queueMicrotask(() => void this.#join());
  }

  close(): void {
    this.#closed = true;
    this.#forgetClient();
    clearTimeout(this.#retry);
    this.#joining?.abort();
    void this.value.room?.leave();
  }

  async #join(): Promise<void> {
    if (this.#closed || this.#joining || this.value.room || !this.#client.connected) return;
    clearTimeout(this.#retry);
    const joining = (this.#joining = new AbortController());
    const subscribe = this.#defaults ? undefined : [...this.#named];
    try {
      const room = await this.#client.join(this.#roomId, { subscribe, signal: joining.signal });
      this.#joining = undefined;
      this.#joined(room, subscribe ?? []);
    } catch (error) {
      this.#joining = undefined;
      if (joining.signal.aborted) return;
      if (!(error instanceof DialogueError)) throw error;
      this.#failed(error);
    }
  }

  #joined(room: Room, subscribed: readonly string[]): void {
    room.onState((state, error) => {
      const ended = state === "left" || state === "denied";
      this.set({ room: ended ? undefined : room, state, error });
    });
    this.set({ room, state: room.state, error: undefined });
    for (const name of this.#named) {
      if (!subscribed.includes(name)) subscribe(room, name);
    }
  }

  #failed(error: DialogueError): void {
    // The next connection asks again.
    if (error.code === "DISCONNECTED") return;
    const delay = retryDelay(error);
    this.set({ room: undefined, state: delay === undefined ? "denied" : "joining", error });
    if (delay !== undefined) this.#retry = setTimeout(() => void this.#join(), delay);
  }

  #name(names: readonly string[]): void {
    const { room } = this.value;
    for (const name of names) {
      if (room && !this.#named.has(name)) subscribe(room, name);
      this.#named.add(name);
    }
  }
}

/** A failure reaches the client's `onError`. */
function subscribe(room: Room, name: string): void {
  void (name === "*" ? room.subscribeAll() : room.subscribe(name));
}
