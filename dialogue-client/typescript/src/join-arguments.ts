import type { EventName, RoomContract } from "./contract.js";
import { fillPattern, hasParameters, type ParameterName, type PatternParameters } from "./pattern.js";

/** How to join a room. */
export interface JoinOptions<Event extends string = string> {
  /**
   * The events to receive from the start, in place of the room's defaults;
   * `"*"` is all of them. One that the room does not have is left out, and reported to the client's `onError`.
   * Default: what the room subscribes its joiners to.
   */
  readonly subscribe?: readonly (Event | "*")[] | undefined;
  /** Gives up the join. The room is left again unless another join of it is going on. */
  readonly signal?: AbortSignal | undefined;
}

/** What `join` takes besides a room id or pattern: the pattern's parameters, if it has any, then options. */
export type JoinArguments<Pattern extends string, R extends RoomContract> = [ParameterName<Pattern>] extends [never]
  ? [options?: JoinOptions<EventName<R>>]
  : [parameters: PatternParameters<Pattern>, options?: JoinOptions<EventName<R>>];

/** {@link JoinArguments} as they are at run time. */
export type AnyJoinArguments =
  | [options?: JoinOptions]
  | [parameters: Readonly<Record<string, string | number>>, options?: JoinOptions];

/**
 * Tells a pattern's parameters from options: the parameters come first exactly if the pattern has some.
 *
 * @throws DialogueError `INVALID_REQUEST` as {@link fillPattern}.
 */
export function readJoinArguments(pattern: string, args: AnyJoinArguments): [roomId: string, options: JoinOptions | undefined] {
  if (!hasParameters(pattern)) return [pattern, args[0] as JoinOptions | undefined];
  return [fillPattern(pattern, (args[0] ?? {}) as Readonly<Record<string, string | number>>), args[1]];
}
