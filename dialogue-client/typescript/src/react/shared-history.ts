import { DialogueError } from "../error.js";
import type { EventMessage } from "../event-message.js";
import type { Unsubscribe } from "../handlers.js";
import { retryDelay } from "../retry.js";
import type { Room } from "../room.js";
import { Store } from "./store.js";
import { listen } from "./subscriptions.js";

/** A room's events of one name, as its components see them. */
export interface SharedHistoryValue {
  readonly messages: readonly EventMessage[];
  readonly hasMore: boolean;
  readonly loadMore: () => void;
  readonly loading: boolean;
  readonly error: DialogueError | undefined;
}

/** What there is without a room. */
export const NO_HISTORY: SharedHistoryValue = {
  messages: [],
  hasMore: false,
  loadMore: () => {},
  loading: false,
  error: undefined,
};

/** What there is before the first page. */
export const LOADING_HISTORY: SharedHistoryValue = { ...NO_HISTORY, loading: true };

/** How many messages are held when a new one comes; older ones can be loaded again. */
const MOST_HELD = 10_000;

/**
 * One room's events of one name: those that come are appended, from before the
 * first page is asked for, so that pages of what is older join on to them
 * without a gap.
 */
export class SharedHistory extends Store<SharedHistoryValue> {
  readonly #room: Room;
  readonly #event: string;
  readonly #pageSize: number;
  readonly #registrations: readonly Unsubscribe[];
  #loading: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(room: Room, event: string, pageSize: number) {
    super({ ...LOADING_HISTORY, hasMore: true, loadMore: () => void this.#load() });
    this.#room = room;
    this.#event = event;
    this.#pageSize = pageSize;
    const { stop, subscribed } = listen(room, event, (message) => this.#append(message));
    this.#registrations = [
      stop,
      room.onReset(() => this.#restart()),
      room.onState((state) => {
        if (state === "joined" && this.value.error) void this.#load();
      }),
    ];
    // Before that, an event may come that is neither in the page nor told.
    void subscribed.then(() => this.#load());
  }

  close(): void {
    for (const unregister of this.#registrations) unregister();
    this.#stopLoading();
    this.set({ ...this.value, hasMore: false });
  }

  #append(message: EventMessage): void {
    // A page may be answered before an event that it has is told.
    if (message.seq !== undefined && message.seq <= (this.#newest?.seq ?? 0)) return;
    const messages = [...this.value.messages, message];
    const dropped = messages.splice(0, messages.length - MOST_HELD);
    // A page on its way would not join on any more.
    if (dropped.length > 0) this.#stopLoading();
    const loading = this.value.loading && dropped.length === 0;
    const hasMore = this.value.hasMore || dropped.some(isStored);
    this.set({ ...this.value, messages, hasMore, loading });
  }

  /** Begins anew with what the latest join has brought: what came before it may be another log's. */
  #restart(): void {
    this.#stopLoading();
    const messages = this.#room.history.filter(({ event }) => event === this.#event).reverse();
    this.set({ ...this.value, messages, hasMore: true });
    void this.#load();
  }

  /** Reads the page before the oldest message. */
  async #load(): Promise<void> {
    if (this.#loading || !this.value.hasMore) return;
    clearTimeout(this.#retry);
    const loading = (this.#loading = new AbortController());
    this.set({ ...this.value, loading: true, error: undefined });
    try {
      const before = this.#oldest?.seq ?? Number.MAX_SAFE_INTEGER;
      const range = { before, limit: this.#pageSize, signal: loading.signal };
      const { events, complete } = await this.#room.getHistory(this.#event, range);
      this.#loading = undefined;
      this.#prepend(events, complete);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#loading = undefined;
      if (!(error instanceof DialogueError)) throw error;
      this.#failed(error);
    }
  }

  /** Puts a page, newest first, before the messages: what has come meanwhile may be in both. */
  #prepend(page: readonly EventMessage[], complete: boolean): void {
    const { messages } = this.value;
    const oldest = this.#oldest?.seq ?? Infinity;
    const older = page.filter(({ seq = 0 }) => seq < oldest).reverse();
    this.set({ ...this.value, messages: [...older, ...messages], hasMore: !complete, loading: false });
  }

  #failed(error: DialogueError): void {
    const delay = retryDelay(error);
    // Without a connection, it goes on when the room is joined again.
    const goesOn = delay !== undefined || error.code === "DISCONNECTED";
    this.set({ ...this.value, loading: goesOn, error });
    if (delay !== undefined) this.#retry = setTimeout(() => void this.#load(), delay);
  }

  #stopLoading(): void {
    clearTimeout(this.#retry);
    this.#loading?.abort();
    this.#loading = undefined;
  }

  get #oldest(): EventMessage | undefined {
    return this.value.messages.find(isStored);
  }

  get #newest(): EventMessage | undefined {
    return this.value.messages.findLast(isStored);
  }
}

function isStored({ seq }: EventMessage): boolean {
  return seq !== undefined;
}
