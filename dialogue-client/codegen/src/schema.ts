import { describeRules, RULES } from "./rules.js";

/** A JSON Schema, draft 7. */
export type Schema = boolean | { readonly [keyword: string]: unknown };

/** The keywords whose values are data: what looks like a schema in there is none. */
const DATA: readonly string[] = ["const", "default", "enum", "examples"];
/** The keywords whose values hold schemas by names that are no keywords. */
const MAPS: readonly string[] = ["definitions", "dependencies", "patternProperties", "properties"];
const DEFINITIONS = "#/definitions/";

/** What a schema refers to by name: the others that are defined beside it. */
export type Defined = { readonly [name: string]: Schema };

/** A schema with each of its references replaced: `name` is a definition's, or `undefined` for the schema itself. */
export function replaceReferences(schema: Schema, replace: (name: string | undefined) => string): Schema {
  return rewriteObjects(schema, (object) => {
    if (typeof object.$ref !== "string") return object;
    return { ...object, $ref: DEFINITIONS + replace(definition(object.$ref)) };
  });
}

/** A schema in which it, and every schema in it, is rewritten: from the outside in. */
function rewriteObjects(schema: Schema, rewrite: (schema: JsonObject) => JsonObject): Schema {
  return visit(schema) as Schema;

  function visit(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(visit);
    if (!isObject(value)) return value;
    return mapValues(rewrite(value), (inner, keyword) => {
      if (DATA.includes(keyword)) return inner;
      return MAPS.includes(keyword) && isObject(inner) ? mapValues(inner, visit) : visit(inner);
    });
  }
}

function mapValues(object: JsonObject, map: (value: unknown, key: string) => unknown): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type JsonObject = { readonly [keyword: string]: unknown };

/** The definition that a reference leads to; `undefined` for the schema as a whole. */
function definition(reference: string): string | undefined {
  if (reference === "#") return undefined;
  if (reference.startsWith(DEFINITIONS)) return decodePointer(reference.slice(DEFINITIONS.length));
  throw new Error(`the reference \`${reference}\` leads out of its schema`);
}

function decodePointer(segment: string): string {
  return decodeURIComponent(segment).replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A reference to a definition. */
export function reference(name: string): Schema {
  return { $ref: DEFINITIONS + name };
}

/** A schema as an object: one that lets everything through, or nothing, as the type of that. */
export function objectOf(schema: Schema): JsonObject {
  return typeof schema === "object" ? schema : { tsType: schema ? "unknown" : "never" };
}

/** The keywords that say nothing of what a value may be. */
const ANNOTATIONS: readonly string[] = [
  "$comment",
  "$id",
  "$schema",
  "definitions",
  "deprecated",
  "description",
  "examples",
  "readOnly",
  "title",
  "writeOnly",
];

/** How many items a list may have for its type to name each. */
const TUPLE = 16;

/**
 * A schema without what TypeScript cannot say: defaults, and how many items a
 * list has, unless it is one small number. Rules become part of its words. One
 * that says nothing of its values is of any type, not of objects alone.
 */
export function forTypes(schema: Schema): Schema {
  return rewriteObjects(schema, ({ default: _, minItems, maxItems, [RULES]: rules, ...rest }) => {
    const fixed = minItems !== undefined && minItems === maxItems && (minItems as number) <= TUPLE;
    return {
      ...rest,
      ...(Object.keys(rest).every((keyword) => ANNOTATIONS.includes(keyword)) && { tsType: "unknown" }),
      ...(Array.isArray(rules) && { description: describeRules(rest.description, rules) }),
      ...((fixed || Array.isArray(rest.items)) && { minItems, maxItems }),
    };
  });
}
