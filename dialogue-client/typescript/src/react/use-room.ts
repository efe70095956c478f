import { useEffect, useMemo } from "react";
import type { Contract, RoomContract, RoomPattern } from "../contract.js";
import type { DialogueClient } from "../dialogue-client.js";
import { DialogueError } from "../error.js";
import { type AnyJoinArguments, readJoinArguments } from "../join-arguments.js";
import type { ParameterName, PatternParameters } from "../pattern.js";
import type { Room } from "../room.js";
import type { RoomState } from "../room-state.js";
import { JOINING, SharedRoom, type SharedRoomValue } from "./shared-room.js";
import { Shared, useShared } from "./shared.js";

/** What `useRoom` takes besides a room id or pattern: the pattern's parameters, if it has any. */
export type UseRoomArguments<Pattern extends string> = [ParameterName<Pattern>] extends [never]
  ? []
  : [parameters: PatternParameters<Pattern>];

/** A room as a component sees it. */
export interface UsedRoom<R extends RoomContract> {
  /** The room, from when it is first joined until it is left or denied. It stays the same while it is joined again. */
  readonly room: Room<R> | undefined;
  /** Whether the client is in the room. Before there is a connection, it is `"joining"`. */
  readonly state: RoomState;
  /** Why the room is denied, or why the client is still joining. */
  readonly error: DialogueError | undefined;
  /** Joins the room again after it was denied or left. */
  readonly retry: () => void;
}

const sharedRooms = new WeakMap<DialogueClient, Shared<SharedRoomValue, SharedRoom>>();

/** The room that a contract says an id or pattern is, as a component sees it; one of several, where it is one of several. */
export type UsedRoomOf<C extends Contract, P extends RoomPattern<C>> = { [Q in P]: UsedRoom<C["rooms"][Q]> }[P];

/** `useRoom` as it is at run time. */
export function useSharedRoom(client: DialogueClient, pattern: string, args: AnyJoinArguments): SharedRoomValue {
  const { roomId, error } = read(pattern, args);
  const value = useSharedRoomById(client, roomId);
  // The same problem is the same value, whatever renders again.
  const invalid = useMemo(() => error && ({ ...JOINING, state: "denied", error } as const), [error?.message]);
  return invalid ?? value;
}

/** `useRoomById` as it is at run time; without an id, there is no room. */
export function useSharedRoomById(client: DialogueClient, roomId: string | undefined): SharedRoomValue {
  let rooms = sharedRooms.get(client);
  if (!rooms) sharedRooms.set(client, (rooms = new Shared()));
  const shared = roomId === undefined ? undefined : rooms;
  const key = roomId ?? "";
  const value = useShared(shared, key, () => new SharedRoom(client, key), JOINING);
  // Each component that is mounted asks for a room that was refused.
  useEffect(() => shared?.get(key)?.join(), [shared, key]);
  return value;
}

function read(pattern: string, args: AnyJoinArguments): { roomId?: string; error?: DialogueError } {
  try {
    return { roomId: readJoinArguments(pattern, args)[0] };
  } catch (error) {
    if (!(error instanceof DialogueError)) throw error;
    return { error };
  }
}
