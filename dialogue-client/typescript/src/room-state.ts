/**
 * How far a client is in a room:
 *
 * - `"joining"`: it has asked, for the first time.
 * - `"joined"`: it hears the room.
 * - `"rejoining"`: it was in the room and is coming back: the connection was lost, or the server refuses for now.
 * - `"left"`: it left, the server made it leave, or the room was deleted. It stays so.
 * - `"denied"`: the server did not let it come back. It stays so.
 */
export type RoomState = "joining" | "joined" | "rejoining" | "left" | "denied";
