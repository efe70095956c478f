import type { Schema } from "./schema.js";

/** A server's contract, as far as types need it: `/dialogue/contract.json`. */
export interface Contract {
  readonly protocol: number;
  /** The name of the app's package. */
  readonly name: string;
  readonly version: string;
  readonly hash: string;
  readonly rooms: readonly RoomContract[];
  /** Events that the server sends to single clients. */
  readonly direct: readonly EventContract[];
}

export interface RoomContract {
  /** The id, or the pattern of a family's ids: `doc:{documentId}`. */
  readonly pattern: string;
  readonly description?: string;
  readonly events: readonly EventContract[];
  /** Whether events that are not listed pass too. */
  readonly anyEvent: boolean;
}

export interface EventContract {
  readonly name: string;
  readonly description?: string;
  /** What a client sends, if it may. */
  readonly sent?: Schema;
  /** What a client receives. */
  readonly received: Schema;
}

/** The version of the protocol that this program knows. */
const PROTOCOL = 1;

/**
 * Reads a contract from JSON.
 *
 * @throws Error if it is none, or one of another version of the protocol.
 */
export function parseContract(text: string): Contract {
  const contract = parse(text);
  if (typeof contract !== "object" || contract === null || !("protocol" in contract)) {
    throw new Error("this is no contract of a Dialogue server: it has no `protocol`");
  }
  if (contract.protocol !== PROTOCOL) {
    throw new Error(`the contract is of protocol ${contract.protocol}, and this program knows ${PROTOCOL}: update it`);
  }
  return contract as Contract;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("this is no contract of a Dialogue server: it is no JSON", { cause });
  }
}
