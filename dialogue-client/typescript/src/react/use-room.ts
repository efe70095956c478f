import { useEffect } from "react";
import type { EventName, RoomContract } from "../contract.js";
import type { DialogueClient } from "../dialogue-client.js";
import { DialogueError } from "../error.js";
import { type AnyJoinArguments, type JoinOptions, readJoinArguments } from "../join-arguments.js";
import type { ParameterName, PatternParameters } from "../pattern.js";
import type { Room } from "../room.js";
import type { RoomState } from "../room-state.js";
import { JOINING, SharedRoom, type SharedRoomValue } from "./shared-room.js";
import { Shared, useShared } from "./shared.js";

/** How a component uses a room. */
export type UseRoomOptions<Event extends string = string> = Omit<JoinOptions<Event>, "signal">;

/** What `useRoom` takes besides a room id or pattern: the pattern's parameters, if it has any, then options. */
export type UseRoomArguments<Pattern extends string, R extends RoomContract> = [ParameterName<Pattern>] extends [never]
  ? [options?: UseRoomOptions<EventName<R>>]
  : [parameters: PatternParameters<Pattern>, options?: UseRoomOptions<EventName<R>>];

/** A room as a component sees it. */
export interface UsedRoom<R extends RoomContract> {
  /** The room, from the first time that it is joined until it is left or denied; it is in use while it is joined again. */
  readonly room: Room<R> | undefined;
  /** How far the client is in the room. It is `"joining"` before there is a connection, too. */
  readonly state: RoomState;
  /** Why the room is denied, or why the client is still joining. */
  readonly error: DialogueError | undefined;
}

const sharedRooms = new WeakMap<DialogueClient, Shared<SharedRoomValue, SharedRoom>>();

/** `useRoom` as it is at run time. */
export function useSharedRoom(client: DialogueClient, pattern: string, args: AnyJoinArguments): SharedRoomValue {
  const { roomId, subscribe, invalid } = read(pattern, args);
  let rooms = sharedRooms.get(client);
  if (!rooms) sharedRooms.set(client, (rooms = new Shared()));
  const shared = invalid ? undefined : rooms;
  const value = useShared(shared, roomId, () => new SharedRoom(client, roomId), JOINING);
  const wanted = subscribe && JSON.stringify(subscribe);
  useEffect(() => {
    shared?.get(roomId)?.want(wanted === undefined ? undefined : JSON.parse(wanted));
  }, [shared, roomId, wanted]);
  return invalid ?? value;
}

function read(pattern: string, args: AnyJoinArguments) {
  try {
    const { roomId, options } = readJoinArguments(pattern, args);
    return { roomId, subscribe: options.subscribe, invalid: undefined };
  } catch (error) {
    if (!(error instanceof DialogueError)) throw error;
    return { roomId: "", subscribe: undefined, invalid: { room: undefined, state: "denied", error } as const };
  }
}
