import { expect, test } from "vitest";
import type { EventMessage, Handler, HistoryRange, Room } from "../../src/index.js";
import { SharedHistory } from "../../src/react/shared-history.js";

const LIMIT = 10_000;

/** A room with a log of so many messages, of which the last is told when the test says so. */
function roomWith(count: number) {
  const message = (seq: number): EventMessage => ({
    event: "message",
    roomId: "r",
    data: null,
    from: "ann",
    timestamp: 0,
    epoch: "e",
    seq,
  });
  let tell: Handler<[message: EventMessage]> = () => {};
  const room = {
    state: "joined",
    subscriptions: ["message"],
    on: (_: string, handler: typeof tell) => ((tell = handler), () => {}),
    onState: () => () => {},
    onReset: () => () => {},
    getHistory: async (_: string, range: HistoryRange) => {
      const { before, limit } = range as { before: number; limit: number };
      const newest = Math.min(before - 1, count);
      const events = Array.from({ length: Math.min(limit, newest) }, (_, index) => message(newest - index));
      return { events, complete: events.length === newest, epoch: "e", seq: count };
    },
  };
  return { room: room as unknown as Room, tell: () => tell(message(++count)) };
}

const seqs = ({ value }: SharedHistory) => value.messages.map(({ seq }) => seq!);

test("as many messages are held as the limit says when one comes, and older ones are loaded again", async () => {
  const { room, tell } = roomWith(LIMIT);
  const history = new SharedHistory(room, "message", 4_000);
  const loaded = (oldest: number) => expect.poll(() => seqs(history)[0]).toBe(oldest);
  await loaded(6_001);
  history.value.loadMore();
  await loaded(2_001);
  history.value.loadMore();
  await loaded(1);
  expect(history.value).toMatchObject({ hasMore: false, loading: false });
  expect(seqs(history)).toHaveLength(LIMIT);

  tell();
  expect([seqs(history).length, seqs(history)[0], seqs(history).at(-1)]).toEqual([LIMIT, 2, LIMIT + 1]);
  expect(history.value).toMatchObject({ hasMore: true, loading: false });
  history.value.loadMore();
  await loaded(1);
  expect(seqs(history)).toEqual(Array.from({ length: LIMIT + 1 }, (_, index) => index + 1));
});
