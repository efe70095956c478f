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
  /** Oldest first; what comes is appended. As many as 10,000 are held when one comes; `loadMore` brings older ones back. */
  readonly messages: readonly Message[];
  /** Whether there are older ones. */
  readonly hasMore: boolean;
  /** Loads a page of older ones. Does nothing while one is being loaded, or where there are none. */
  readonly loadMore: () => void;
  /** Whether a page is being loaded: the first one, or an older one. */
  readonly loading: boolean;
  /** Why the last page could not be loaded; what fails for now is tried again by itself. */
  readonly error: DialogueError | undefined;
}

const sharedHistories = new WeakMap<object, Shared<SharedHistoryValue, SharedHistory>>();

/**
 * The messages of one event, with those that come: the newest page at first,
 * older ones with `loadMore`. None is missing and none is twice, across renders,
 * remounts and reconnections. Where the server cannot tell all that was missed,
 * it begins anew with the newest.
 *
 * Without a room there are none.
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
