import { compile, type JSONSchema } from "json-schema-to-typescript";
import { format, type Options } from "prettier";
import { assertTypesAlone } from "./assert-types.js";
import type { Contract, EventContract, RoomContract } from "./contract.js";
import { Declarations, type OtherNames } from "./declarations.js";
import { MOST_WRITTEN } from "./limits.js";
import { typeName } from "./names.js";
import { readSchema } from "./read-schema.js";
import { reference, type Schema } from "./schema.js";
import { comment, quoted, Texts } from "./texts.js";

/** Suffix of a type that clients send, if it differs from the type that they receive. */
const SENT_SUFFIX = "Input";
const CONTRACT = "Contract";
/**
 * Prettier options. The package pins prettier's version, so the output is the same everywhere. The `.ts` path keeps
 * prettier from looking for JSX, which takes quadratic time.
 */
const LAYOUT: Options = { parser: "typescript", filepath: "dialogue.gen.ts", printWidth: 120, bracketSpacing: false, trailingComma: "none" };

/**
 * Writes the types of a contract as a TypeScript module: the same contract gives the same text.
 *
 * The contract is untrusted: the module contains only types and the contract's hash, and generating it reads no file
 * and no URL.
 *
 * @throws Error if a schema is invalid, has a `$ref` out of its own definitions, or gives too large a type.
 */
export async function generate(contract: Contract): Promise<string> {
  try {
    const text = await write(contract);
    assertTypesAlone(text);
    return text;
  } catch (error) {
    // A call stack overflow, or a string that is too long.
    if (error instanceof RangeError) throw new Error("the contract's types are too deep or too large", { cause: error });
    throw error;
  }
}

async function write(contract: Contract): Promise<string> {
  const texts = new Texts();
  const types = new Types(texts);
  const rooms = contract.rooms.map((room): Named => [room.pattern, types.room(room)]);
  const direct = contract.direct.map((event): Named => [event.name, types.received(event, "Direct")]);
  const root = {
    ...types.object([
      ["rooms", types.object(rooms)],
      ["direct", types.object(direct)],
    ]),
    title: CONTRACT,
    description: "What the server offers: the type argument of `createDialogueClient`.",
    definitions: types.definitions,
  };
  const declared = await compile(root as JSONSchema, CONTRACT, {
    // What the schemas refer to is in them.
    $refOptions: { resolve: { external: false } },
    additionalProperties: false,
    bannerComment: "",
    enableConstEnums: false,
    format: false,
    unknownAny: true,
  });
  const restored = texts.restore(declared);
  if (restored.length > MOST_WRITTEN) throw new RangeError(`they have more than ${MOST_WRITTEN} characters`);
  return `\
// Made by dialogue-codegen from the contract of ${comment(contract.name).replaceAll(/\s+/g, " ")}. What is changed by hand is lost.
/* eslint-disable */

/** Says which contract these types are from: the client's option \`contract\`. */
export const CONTRACT_HASH = ${quoted(contract.hash)};

${spaced(await format(restored, LAYOUT)).trim()}
`;
}

/** One empty line between declarations. */
function spaced(declarations: string): string {
  return declarations.replaceAll(/(?<=[;}])\n(?=\/\*\*|export )/g, "\n\n");
}

/** A schema, and what it is the schema of. */
type Named = readonly [name: string, schema: Schema];

/** The types of a contract's rooms and events. */
class Types {
  readonly #declarations = new Declarations([CONTRACT]);
  readonly #texts: Texts;

  constructor(texts: Texts) {
    this.#texts = texts;
  }

  get definitions(): { readonly [name: string]: Schema } {
    return this.#declarations.definitions;
  }

  /** Declares a room, and its payloads. */
  room(room: RoomContract): Schema {
    const segments = room.pattern.split(":");
    const name = typeName(segments.filter((segment) => !segment.startsWith("{")).join(" "));
    const events = room.events.map((event): Named => [event.name, this.received(event, name)]);
    const triggers = room.events.flatMap((event): Named[] => (event.sent === undefined ? [] : [[event.name, this.#sent(event, event.sent, name)]]));
    const declared = this.#declarations.addReferring(`${name}Room`, () => [`${typeName(segments.join(" "))}Room`], {
      ...this.object([
        ["triggers", this.object(triggers, room.anyEvent)],
        ["events", this.object(events, room.anyEvent)],
      ]),
      ...(room.description !== undefined && { description: this.#texts.description(room.description) }),
    });
    return reference(declared);
  }

  /** Declares what a client receives. */
  received(event: EventContract, room: string): Schema {
    return this.#payload(event, event.received, (name) => [room + name]);
  }

  /** An object that has all of these, and others if it is open. */
  object(named: readonly Named[], open = false) {
    const properties = Object.fromEntries(named.map(([name, schema]) => [this.#texts.key(name), schema]));
    return { type: "object", properties, required: Object.keys(properties), additionalProperties: open };
  }

  #sent(event: EventContract, sent: Schema, room: string): Schema {
    return this.#payload(event, sent, (name) => [name + SENT_SUFFIX, room + name + SENT_SUFFIX]);
  }

  #payload(event: EventContract, schema: Schema, others: OtherNames): Schema {
    try {
      return reference(this.#declarations.add(payloadName(event), others, readSchema(schema, this.#texts)));
    } catch (cause) {
      if (cause instanceof RangeError) throw cause;
      throw new Error(`cannot generate a type for the payload of event \`${event.name}\``, { cause });
    }
  }
}

/** The payload's type name: the schema's `title`, or else the event's name. */
function payloadName({ name, received }: EventContract): string {
  const title = typeof received === "object" ? received.title : undefined;
  return typeName(typeof title === "string" ? title : name);
}
