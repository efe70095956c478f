import type { Epoch, EventMessage } from "./event-message.js";

/** Which stored events to read: by place in the log, or counted from the newest. */
export type HistoryRange = { readonly signal?: AbortSignal | undefined } & (
  | {
      /** Only events before this `seq`, newest first. */
      readonly before: number;
      /** How many at most. Default: 50; the server's limit is 100. */
      readonly limit?: number | undefined;
    }
  | {
      /** Only events after this `seq`, oldest first; 0 is the beginning. */
      readonly after: number;
      /** How many at most. Default: 50; the server's limit is 100. */
      readonly limit?: number | undefined;
    }
  | {
      /** The first event, counted from the newest. Default: 0. */
      readonly start?: number | undefined;
      /** One past the last event. Default: 50. */
      readonly end?: number | undefined;
    }
);

/** A part of a room's log. */
export interface HistoryPage<Message extends EventMessage = EventMessage> {
  /** The events, in the order that the range says. */
  readonly events: Message[];
  /** Whether this is all of the range; if not, go on from the last event. */
  readonly complete: boolean;
  /** The log's lifetime. */
  readonly epoch: Epoch;
  /** Where the log ended when it was read. */
  readonly seq: number;
}
