/**
 * What must compile, and what must not: checked by the compiler, never run.
 */
import type { EventMessage, Room } from "../../src/index.js";
import { createDialogueHooks, type History } from "../../src/react/index.js";

interface Contract {
  rooms: {
    general: {
      triggers: { message: { text: string }; typing: { isTyping: boolean } };
      events: { message: { text: string }; typing: { isTyping: boolean }; "user:left": { userId: string } };
    };
    log: { triggers: { line: string }; events: { line: string } };
    "doc:{documentId}": { triggers: { edited: { at: number } }; events: { edited: { at: number } } };
  };
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function expect<T extends true>(): T | void {}

const { useClient, useEvent, useHistory, useRoom, useRoomById } = createDialogueHooks<Contract>();
const open = createDialogueHooks();

export function Rooms(): void {
  const { room } = useRoom("general");
  expect<Equal<typeof room, Room<Contract["rooms"]["general"]> | undefined>>();
  useRoom("doc:{documentId}", { documentId: 42 });
  void room?.trigger("message", { text: "hello" });
  void useClient().join("general");

  // @ts-expect-error a room that the contract does not have
  useRoom("generel");
  // @ts-expect-error a family without its parameters
  useRoom("doc:{documentId}");
  // @ts-expect-error a parameter of another name
  useRoom("doc:{documentId}", { id: "42" });
  // @ts-expect-error an event that only the server triggers
  void room?.trigger("user:left", { userId: "ann" });
}

export function RoomsOfIds(id: string, either: "general" | "log"): void {
  const { room } = useRoomById(id);
  expect<Equal<typeof room, Room | undefined>>();
  const { room: typed } = useRoomById<Contract["rooms"]["general"]>(undefined);
  expect<Equal<typeof typed, Room<Contract["rooms"]["general"]> | undefined>>();
  const { room: one } = useRoom(either);
  expect<Equal<typeof one, Room<Contract["rooms"]["general"]> | Room<Contract["rooms"]["log"]> | undefined>>();
}

export function Events(): void {
  const { room } = useRoom("general");
  useEvent(room, "message", (message) => {
    expect<Equal<typeof message, EventMessage<{ text: string }, "message">>>();
  });
  const history = useHistory(room, "message", { pageSize: 20 });
  expect<Equal<typeof history, History<EventMessage<{ text: string }, "message">>>>();

  // @ts-expect-error an event that the room does not have
  useEvent(room, "edited", () => {});
  // @ts-expect-error a field that the payload does not have
  useEvent(room, "message", ({ data }) => data.body);
  // @ts-expect-error an event that the room does not have
  useHistory(room, "edited");
}

export function OpenRooms(): void {
  const { room } = open.useRoom("anything");
  open.useRoom("doc:{documentId}", { documentId: "42" });
  open.useEvent(room, "whatever", ({ data }) => {
    expect<Equal<typeof data, unknown>>();
  });
  const { messages } = open.useHistory(room, "whatever");
  expect<Equal<typeof messages, readonly EventMessage<unknown, "whatever">[]>>();
}
