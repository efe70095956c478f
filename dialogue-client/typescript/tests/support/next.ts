import type { EventName, Handler, MessageOf, RoomContract, TypedRoom, Unsubscribe } from "../../src/index.js";

/** What the next call of a handler is given: `await next((handler) => client.onError(handler))`. */
export function next<Argument>(register: (handler: Handler<[Argument]>) => Unsubscribe): Promise<Argument> {
  return new Promise((resolve) => {
    const off = register((argument) => {
      off();
      resolve(argument);
    });
  });
}

/** The next event of one name in a room. */
export function nextEvent<R extends RoomContract, E extends EventName<R>>(
  room: TypedRoom<R>,
  event: E,
): Promise<MessageOf<R, E>> {
  return next((handler) => room.on(event, handler));
}
