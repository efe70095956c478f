import type { EventName, MessageOf, RoomContract } from "../contract.js";
import type { DialogueError } from "../error.js";
import type { Room } from "../room.js";
import { LOADING_HISTORY, NO_HISTORY, SharedHistory, type SharedHistoryValue } from "./shared-history.js";
import { Shared, useShared } from "./shared.js";

/** How to read a history. */
export interface UseHistoryOptions {
  /** How many messages to load at once. Default: 50; the server's limit is 100. */
  readonly pageSize?: number | undefined;
}

/** A room's events of one name. */
export interface History<Message> {
  /** Oldest first; new ones are appended. When one arrives, the newest 10,000 are kept; `loadMore` loads older ones again. */
  readonly messages: readonly Message[];
  /** Whether there are older ones. */
  readonly hasMore: boolean;
  /** Loads a page of older messages. Does nothing while a page is being loaded, or where there are no older ones. */
  readonly loadMore: () => void;
  /** Whether a page is being loaded: the first one, or an older one. */
  readonly loading: boolean;
  /** Why the last page could not be loaded. A page that the server refuses for now is asked for again. */
  readonly error: DialogueError | undefined;
}

const sharedHistories = new WeakMap<object, Shared<SharedHistoryValue, SharedHistory>>();

/**
 * The messages of one event: the newest page first, older ones with `loadMore`,
 * and new ones as they arrive. None is missing and none is there twice, across
 * renders, remounts and reconnections. Where the server does not keep all that was
 * missed, the messages begin again with the newest page.
 *
 * Without a room there are no messages.
 */
export function useHistory<R extends RoomContract, E extends EventName<R>>(
  room: Room<R> | undefined,
  event: E,
  { pageSize = 50 }: UseHistoryOptions = {},
): History<MessageOf<R, E>> {
  let histories = room && sharedHistories.get(room);
  if (room && !histories) sharedHistories.set(room, (histories = new Shared()));
  // The contract says what the messages are; at run time they are any.
  const open = () => new SharedHistory(room as unknown as Room, event, pageSize);
  const value: SharedHistoryValue = useShared(
    histories,
    JSON.stringify([event, pageSize]),
    open,
    room ? LOADING_HISTORY : NO_HISTORY,
  );
  return value as unknown as History<MessageOf<R, E>>;
}
