/** A room as the server lists it. */
export interface RoomInfo {
  /** Its id: what `join` takes. */
  readonly id: string;
  /** Its name, for people. */
  readonly name: string;
  /** What it is for. */
  readonly description?: string;
  /** How many connections are in it. */
  readonly size: number;
  /** How many may be in it. Absent: no limit. */
  readonly maxSize?: number;
  /** The user id of the client that created it. Absent: the server declares it. */
  readonly createdById?: string;
}
