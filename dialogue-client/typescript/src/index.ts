export type { ConnectionState } from "./connection-state.js";
export type {
  AnyContract,
  AnyRoomContract,
  Contract,
  EventName,
  MessageOf,
  OnDirect,
  RoomContract,
  RoomId,
  RoomPattern,
  TriggerName,
} from "./contract.js";
export type { CreateRoomOptions } from "./create-room-options.js";
export { createDialogueClient } from "./create-dialogue-client.js";
export type { DialogueClient } from "./dialogue-client.js";
export { DialogueError, type ErrorCode, type ErrorDetails, type Issue } from "./error.js";
export type { Epoch, EventMessage } from "./event-message.js";
export type { Handler, Unsubscribe } from "./handlers.js";
export type { HistoryPage, HistoryRange } from "./history.js";
export type { JoinArguments, JoinOptions } from "./join-arguments.js";
export type { Auth, Credentials, DialogueClientOptions } from "./options.js";
export type { ParameterName, PatternParameters } from "./pattern.js";
export type { EventsOptions, OpenRoom, Receipt, Room, RoomOf, TriggerArguments, TriggerOptions, TypedRoom } from "./room.js";
export type { RoomInfo } from "./room-info.js";
export type { RoomState } from "./room-state.js";
