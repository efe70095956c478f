import { useEffect, useRef } from "react";
import type { EventName, MessageOf, RoomContract } from "../contract.js";
import type { Handler } from "../handlers.js";
import type { Room } from "../room.js";
import { listen } from "./subscriptions.js";

/**
 * Calls a handler for each event of one name while the component is mounted.
 * Subscribes the room to the event where its defaults do not include it. The
 * handler of the latest render is called; a new function in each render costs
 * nothing.
 *
 * Without a room, the handler is not called until there is one.
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
