import { useEffect, useRef } from "react";
import type { EventName, MessageOf, RoomContract } from "../contract.js";
import type { Handler } from "../handlers.js";
import type { Room } from "../room.js";

/**
 * Calls a handler for each event of one name while the component is mounted,
 * from the first that comes after the room is joined. It is always the latest
 * render's handler; a new one costs nothing.
 *
 * Without a room it waits for one.
 */
export function useEvent<R extends RoomContract, E extends EventName<R>>(
  room: Room<R> | undefined,
  event: E,
  handler: Handler<[message: MessageOf<R, E>]>,
): void {
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => room?.on(event, (message) => latest.current(message)), [room, event]);
}
