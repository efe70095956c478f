import { compile, type JSONSchema } from "json-schema-to-typescript";
import { format, type Options } from "prettier";
import type { Contract, EventContract, RoomContract } from "./contract.js";
import { Declarations, typeName } from "./declarations.js";
import { reference, type Schema, forTypes } from "./schema.js";

/** What tells a type that is sent from the one that is received, where they differ. */
const SENT = "Input";
const CONTRACT = "Contract";
/** How the types are laid out: the same wherever this runs, since this package asks for one version of prettier. */
const LAYOUT: Options = { parser: "typescript", printWidth: 120, bracketSpacing: false, trailingComma: "none" };

/** Writes the types of a contract as a TypeScript module: the same contract gives the same text. */
export async function generate(contract: Contract): Promise<string> {
  const types = new Declarations([CONTRACT]);
  const rooms = contract.rooms.map((room): [string, Schema] => [room.pattern, reference(declareRoom(types, room))]);
  const direct = contract.direct.map((event): [string, Schema] => [event.name, declareReceived(types, event, "Direct")]);
  const root = {
    ...object({ rooms: object(Object.fromEntries(rooms)), direct: object(Object.fromEntries(direct)) }),
    title: CONTRACT,
    description: "What the server offers: the type argument of `createDialogueClient`.",
    definitions: types.definitions,
  };
  const declared = await compile(root as JSONSchema, CONTRACT, {
    additionalProperties: false,
    bannerComment: "",
    enableConstEnums: false,
    format: false,
    unknownAny: true,
  });
  return `\
// Made by dialogue-codegen from the contract of ${contract.name.replaceAll(/\s+/g, " ")}. What is changed by hand is lost.
/* eslint-disable */

/** Says which contract these types are from: the client's option \`contract\`. */
export const CONTRACT_HASH = ${JSON.stringify(contract.hash)};

${spaced(await format(declared, LAYOUT)).trim()}
`;
}

/** One empty line between declarations. */
function spaced(declarations: string): string {
  return declarations.replaceAll(/(?<=[;}])\n(?=\/\*\*|export )/g, "\n\n");
}

function declareRoom(types: Declarations, room: RoomContract): string {
  const segments = room.pattern.split(":");
  const name = typeName(segments.filter((segment) => !segment.startsWith("{")).join(" "));
  const events: Payloads = {};
  const triggers: Payloads = {};
  for (const event of room.events) {
    events[event.name] = declareReceived(types, event, name);
    if (event.sent !== undefined) triggers[event.name] = declareSent(types, event, event.sent, name);
  }
  return types.addReferring(`${name}Room`, () => [`${typeName(segments.join(" "))}Room`], {
    ...object({ triggers: object(triggers, room.anyEvent), events: object(events, room.anyEvent) }),
    ...(room.description !== undefined && { description: room.description }),
  });
}

/** References to payloads, by the names of events. */
type Payloads = { [event: string]: Schema };

function declareReceived(types: Declarations, event: EventContract, room: string): Schema {
  return reference(types.add(payloadName(event), (name) => [room + name], forTypes(event.received)));
}

function declareSent(types: Declarations, event: EventContract, sent: Schema, room: string): Schema {
  return reference(types.add(payloadName(event), (name) => [name + SENT, room + name + SENT], forTypes(sent)));
}

/** What the server calls the payload's type; or a name after the event's. */
function payloadName({ name, received }: EventContract): string {
  const title = typeof received === "object" ? received.title : undefined;
  return typeName(typeof title === "string" ? title : name);
}

/** An object that has all of these, and others if it is open. */
function object(properties: { readonly [name: string]: Schema }, open = false) {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: open };
}
