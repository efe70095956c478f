import { checkDepth, MOST_BYTES } from "./limits.js";
import { isObject, type Schema } from "./schema.js";

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
 * @throws Error if the text is not a contract, has another protocol version, is longer than 4 MiB, or nests deeper than
 * 128 levels.
 */
export function parseContract(text: string): Contract {
  if (Buffer.byteLength(text) > MOST_BYTES) throw new Error(`the contract is longer than ${MOST_BYTES} bytes`);
  const contract = parse(text);
  checkDepth(contract);
  if (!isObject(contract) || !("protocol" in contract)) {
    throw new Error("not a Dialogue contract: `protocol` is missing");
  }
  if (contract.protocol !== PROTOCOL) {
    throw new Error(`the contract has protocol version ${JSON.stringify(contract.protocol)}, but dialogue-codegen supports ${PROTOCOL}: install the version of dialogue-codegen that matches the server`);
  }
  check(contract, CONTRACT);
  return contract as unknown as Contract;
}

/** The expected shape of a value. A field whose name ends in `?` is optional. */
type Shape = "string" | "boolean" | "schema" | readonly [each: Shape] | { readonly [field: string]: Shape };

const EVENT: Shape = { name: "string", "description?": "string", "sent?": "schema", received: "schema" };
const ROOM: Shape = { pattern: "string", "description?": "string", events: [EVENT], anyEvent: "boolean" };
const CONTRACT: Shape = { name: "string", version: "string", hash: "string", rooms: [ROOM], direct: [EVENT] };

/** @throws Error with the path of the first value that does not have the shape. */
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
  string: (value: unknown) => typeof value === "string",
  boolean: (value: unknown) => typeof value === "boolean",
  schema: (value: unknown) => typeof value === "boolean" || isObject(value),
};


function fail(path: string, what: string): never {
  throw new Error(`not a Dialogue contract: \`${path}\` is not ${/^[aeiou]/.test(what) ? "an" : "a"} ${what}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("not a Dialogue contract: it is not valid JSON", { cause });
  }
}
