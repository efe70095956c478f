export { createDialogueHooks, type DialogueHooks, type DialogueProviderProps } from "./create-dialogue-hooks.js";
export type { Connection } from "./use-connection.js";
export type { History, UseHistoryOptions } from "./use-history.js";
export type { UsedRoom, UsedRoomOf, UseRoomArguments } from "./use-room.js";
