/** The room that a client asks the server to create. */
export interface CreateRoomOptions {
  /** Its id: 1 to 1,024 bytes without braces, that no other room or family answers to. */
  readonly id: string;
  /** Its name, for people: up to 256 bytes. */
  readonly name: string;
  /** What it is for: up to 2,048 bytes. Default: none. */
  readonly description?: string | undefined;
  /** How many connections may be in it, at least 1. Default: no limit. */
  readonly maxSize?: number | undefined;
}
