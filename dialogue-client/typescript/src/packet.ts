/** What a server said, once {@link fits} has let it through. */
export type Packet = any;

/** The fields that are always there in what the server says by itself, and in its answers to requests. */
const NEEDED: { readonly [name: string]: string } = {
  "dialogue:connected": "clientId userId",
  "dialogue:event": "event roomId from",
  "dialogue:position": "seq last",
  "dialogue:roomCreated": "id name",
  "dialogue:roomDeleted": "roomId",
  "dialogue:error": "code",
  "dialogue:join": "stored events subscriptions seq",
  "dialogue:subscribe": "subscriptions seq",
  "dialogue:subscribeAll": "subscriptions seq",
  "dialogue:unsubscribe": "subscriptions seq",
  "dialogue:getHistory": "events seq",
  "dialogue:listRooms": "rooms",
  "dialogue:createRoom": "room",
};

type Check = (value: any) => boolean;

const is = (name: string): Check => (value) => fits(name, value);
const each = (check: Check): Check => (list) => Array.isArray(list) && list.every(check);
const text: Check = (value) => typeof value === "string";

/** What fields are, by their names: each means the same wherever the protocol has it. */
const KINDS: { readonly [fields: string]: Check } = {
  "roomId event from clientId userId epoch code message id name roomName next": text,
  "seq prev retryAfterMs reconnectAfterMs": Number.isSafeInteger,
  "expiresAt expiresInMs maxMessageBytes": Number.isInteger,
  "subscriptions stored unknownEvents": each(text),
  events: each(is("dialogue:event")),
  rooms: each(is("dialogue:roomCreated")),
  room: is("dialogue:roomCreated"),
  issues: Array.isArray,
  last: (last) => last === Object(last) && Object.values(last).every(Number.isSafeInteger),
};

/**
 * Whether what the server said, as an event of its own or in answer to a request
 * of this name, has its shape, as far as this client relies on it: the fields
 * that it uses, and those that apps show. Payloads are the app's to know, and
 * the server's to check. What does not fit goes no further than an error.
 */
export function fits(name: string, packet: Packet): packet is Packet {
  return (
    packet === Object(packet) &&
    NEEDED[name]?.split(" ").every((field) => field in packet) !== false &&
    Object.entries(KINDS).every(([fields, check]) =>
      fields.split(" ").every((field) => packet[field] === undefined || check(packet[field])),
    )
  );
}
