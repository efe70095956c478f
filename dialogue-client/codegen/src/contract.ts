import { checkDepth, MOST_BYTES } from "./limits.js";
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
 * @throws Error if it is none, one of another version of the protocol, longer than 4 MiB, or nests deeper than 128
 * levels.
 */
export function parseContract(text: string): Contract {
  if (text.length > MOST_BYTES) throw new Error(`the contract is longer than ${MOST_BYTES} bytes`);
  const contract = parse(text);
  checkDepth(contract);
  if (!isObject(contract) || !("protocol" in contract)) {
    throw new Error("this is no contract of a Dialogue server: it has no `protocol`");
  }
  if (contract.protocol !== PROTOCOL) {
    throw new Error(`the contract is of protocol ${JSON.stringify(contract.protocol)}, and this program knows ${PROTOCOL}: update it`);
  }
  check(contract, CONTRACT);
  return contract as unknown as Contract;
}

/** What a value is to be: a field whose name ends in `?` may be missing. */
type Shape = "text" | "boolean" | "schema" | readonly [each: Shape] | { readonly [field: string]: Shape };

const EVENT: Shape = { name: "text", "description?": "text", "sent?": "schema", received: "schema" };
const ROOM: Shape = { pattern: "text", "description?": "text", events: [EVENT], anyEvent: "boolean" };
const CONTRACT: Shape = { name: "text", version: "text", hash: "text", rooms: [ROOM], direct: [EVENT] };

/** @throws Error if a value is something else, with the path to what is wrong. */
function check(value: unknown, shape: Shape, path = ""): void {
  if (typeof shape === "string") {
    if (!IS[shape](value)) fail(path, shape);
  } else if (shape instanceof Array) {
    if (!Array.isArray(value)) return fail(path, "list");
    value.forEach((item, index) => check(item, shape[0], `${path}[${index}]`));
  } else {
    if (!isObject(value)) return fail(path, "object");
    for (const [field, inner] of Object.entries(shape)) {
      const name = field.replace(/\?$/, "");
      if (name === field || value[name] !== undefined) check(value[name], inner, path === "" ? name : `${path}.${name}`);
    }
  }
}

const IS = {
  text: (value: unknown) => typeof value === "string",
  boolean: (value: unknown) => typeof value === "boolean",
  schema: (value: unknown) => typeof value === "boolean" || isObject(value),
};

function isObject(value: unknown): value is { readonly [field: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fail(path: string, what: string): never {
  throw new Error(`this is no contract of a Dialogue server: its \`${path}\` is no ${what}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("this is no contract of a Dialogue server: it is no JSON", { cause });
  }
}
