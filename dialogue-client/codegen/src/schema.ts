/** A JSON Schema, draft 7. */
export type Schema = boolean | { readonly [keyword: string]: unknown };

const DEFINITIONS = "#/definitions/";

/** A schema with each of its references replaced: `name` is a definition's, or `undefined` for the schema itself. */
export function replaceReferences(schema: Schema, replace: (name: string | undefined) => string): Schema {
  return visit(schema) as Schema;

  function visit(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(visit);
    if (!isObject(value)) return value;
    if (typeof value.$ref === "string") return { $ref: DEFINITIONS + replace(definition(value.$ref)) };
    return mapValues(value, visit);
  }
}

export function mapValues<From, To>(object: { readonly [key: string]: From }, map: (value: From, key: string) => To): { [key: string]: To } {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export type JsonObject = { readonly [keyword: string]: unknown };

/**
 * The definition that a reference leads to; `undefined` for the schema as a whole.
 *
 * @throws Error if it leads anywhere else: to another file, another server, or the inside of a schema.
 */
export function definition(reference: string): string | undefined {
  if (reference === "#") return undefined;
  const name = reference.startsWith(DEFINITIONS) ? decodePointer(reference.slice(DEFINITIONS.length)) : undefined;
  if (name !== undefined) return name;
  throw new Error(`the reference \`${reference}\` leads out of its schema: only \`#\` and \`${DEFINITIONS}<name>\` may be used`);
}

function decodePointer(segment: string): string | undefined {
  try {
    return segment.includes("/") ? undefined : decodeURIComponent(segment).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return undefined;
  }
}

/** A reference to a definition. */
export function reference(name: string): Schema {
  return { $ref: DEFINITIONS + name };
}

/** A schema as an object: one that lets everything through, or nothing, as the type of that. */
export function objectOf(schema: Schema): JsonObject {
  return typeof schema === "object" ? schema : { tsType: schema ? "unknown" : "never" };
}
