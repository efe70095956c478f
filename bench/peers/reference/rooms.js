// What the benchmark's rooms are like: all the same.
import { z } from "zod";
import { defineEvent } from "./events.js";

const ROOMS = 1_100;

const schema = z.object({
  at: z.number().int().nonnegative(),
  text: z.string().min(1).max(20_000),
});

const events = [
  defineEvent("tick", { schema }),
  defineEvent("message", { schema, history: { enabled: true, limit: 100 } }),
];

/**
 * The configuration of every room, by its id.
 *
 * @returns {Generator<[roomId: string, config: import("./room.js").RoomConfig]>}
 */
export function* rooms() {
  for (let index = 0; index < ROOMS; index++) {
    yield [`room:${index}`, { name: `Room ${index}`, events, syncHistoryOnJoin: 50 }];
  }
}
