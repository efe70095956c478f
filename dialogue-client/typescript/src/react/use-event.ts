import { useEffect, useRef } from "react";
import type { EventName, MessageOf, RoomContract } from "../contract.js";
import type { Handler } from "../handlers.js";
import type { Room } from "../room.js";
import { listen } from "./subscriptions.js";

/**
 * Calls a handler for each event of one name while the component is mounted, and
 * subscribes to it if the room does not by itself. It is always the latest
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
  // The contract says what the messages are; at run time they are any.
  const listenIn = () => listen(room as unknown as Room, event, (message) => latest.current(message as never)).stop;
  useEffect(() => (room ? listenIn() : undefined), [room, event]);
}
