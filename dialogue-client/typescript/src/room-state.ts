/**
 * Whether a client is in a room:
 *
 * - `"joining"`: it has asked, for the first time.
 * - `"joined"`: it is in the room, and receives its events.
 * - `"rejoining"`: it was in the room and joins again: the connection was lost, or the server refuses for now.
 * - `"left"`: it left, the server made it leave or ended the connection, or the room was deleted. This is final.
 * - `"denied"`: the server refused to let it in again. This is final.
 */
export type RoomState = "joining" | "joined" | "rejoining" | "left" | "denied";
