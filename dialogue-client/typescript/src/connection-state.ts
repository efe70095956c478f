/** Whether a client is connected, or on its way: for the first time or again. */
export type ConnectionState = "disconnected" | "connecting" | "connected";
