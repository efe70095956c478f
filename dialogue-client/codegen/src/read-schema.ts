import { MOST_LISTED } from "./limits.js";
import { typeName } from "./names.js";
import { areRules, describeRules, RULES } from "./rules.js";
import { definition, isObject, type JsonObject, type Schema } from "./schema.js";
import type { Texts } from "./texts.js";

/** A payload's schema, reduced to the keywords that determine its type. */
export interface PayloadSchema {
  readonly root: Schema;
  /** What it defines for itself, by the names that it refers to. */
  readonly defined: ReadonlyMap<string, Schema>;
}

/** Longest list that becomes a tuple type. Longer ones become arrays. */
const MAX_TUPLE = 16;

/** How often the text of one schema may repeat inside one named type. */
const MAX_COPIES = 64;

const TYPES: readonly unknown[] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/**
 * Copies the keywords of an untrusted schema that determine types, and checks their values:
 *
 * - `type`, `enum`, `const`; `properties`, `required`, `additionalProperties`, `patternProperties`; `items`,
 *   `additionalItems`, and `minItems` and `maxItems` where they are one small number;
 * - `allOf`, `anyOf`, `oneOf`; `$ref` to `#` or one of its `definitions`;
 * - `title`, `description`, `deprecated` and the server's own rules, which become words.
 *
 * It drops all other keywords: those that json-schema-to-typescript writes as code (`tsType`, `tsEnumNames`,
 * `extends`), those that resolvers follow (`$id`, `id`, `$anchor`), bounds, `default`, `examples` and annotations. The
 * values of `const` and `enum` are data: nothing in them is a keyword. {@link Texts} replaces names and descriptions
 * by tokens.
 *
 * @throws Error that says what is wrong, and where.
 */
export function readSchema(schema: Schema, texts: Texts): PayloadSchema {
  const { definitions = {}, ...root } = typeof schema === "object" ? schema : {};
  const defined = new Map<string, Schema>();
  const reader = new Reader(texts, (name) => isObject(definitions) && Object.hasOwn(definitions, name));
  for (const [name, inner] of Object.entries(readMap(definitions, "definitions"))) {
    defined.set(name, reader.read(inner, `definitions.${name}`, MAX_COPIES));
  }
  return { root: typeof schema === "object" ? reader.read(root, "", MAX_COPIES) : schema, defined };
}

class Reader {
  readonly #texts: Texts;
  readonly #isDefined: (name: string) => boolean;

  constructor(texts: Texts, isDefined: (name: string) => boolean) {
    this.#texts = texts;
    this.#isDefined = isDefined;
  }

  /**
   * Reads a schema that stands at a path.
   *
   * @param copies How often the schema may still be repeated. Tuples repeat the types of their items.
   */
  read(schema: unknown, path: string, copies: number): Schema {
    if (typeof schema === "boolean") return schema;
    if (!isObject(schema)) return fail(path, "not a schema");
    const annotations = this.#annotations(schema, path);
    if (schema.$ref !== undefined) {
      const target = this.#reference(schema.$ref, path);
      return Object.keys(annotations).length === 0 ? target : { ...annotations, allOf: [target] };
    }
    const values = this.#values(schema, path, copies);
    // One that says nothing of its values is of any type, not of objects alone.
    return Object.keys(values).length > 0 ? { ...annotations, ...values } : { ...annotations, tsType: "unknown" };
  }

  #annotations({ title, description, deprecated, [RULES]: rules }: JsonObject, path: string): JsonObject {
    if (title !== undefined && typeof title !== "string") fail(`${path}.title`, "not a string");
    if (description !== undefined && typeof description !== "string") fail(`${path}.description`, "not a string");
    if (deprecated !== undefined && typeof deprecated !== "boolean") fail(`${path}.deprecated`, "not a boolean");
    if (rules !== undefined && !areRules(rules)) return fail(`${path}.${RULES}`, "not a list of rules");
    const words = rules === undefined ? description : describeRules(description, rules);
    return {
      ...(title !== undefined && { title: typeName(title as string) }),
      ...(words !== undefined && { description: this.#texts.description(words as string) }),
      ...(deprecated !== undefined && { deprecated }),
    };
  }

  /** What a schema says of the values that it lets through. */
  #values(schema: JsonObject, path: string, copies: number): JsonObject {
    const { type } = schema;
    const given = "const" in schema ? [schema.const] : schema.enum;
    const values = given === undefined ? undefined : listOf(given, `${path}.enum`);
    if (values?.some((value) => typeof value === "object" && value !== null)) {
      return { anyOf: values.map((value) => this.#literal(value)) };
    }
    return {
      ...(type !== undefined && { type: readType(type, `${path}.type`) }),
      ...(values !== undefined && { enum: values.map((value) => this.#scalar(value)) }),
      ...this.#fields(schema, path, copies),
      ...this.#items(schema, path, copies),
      ...this.#combined(schema, path, copies),
    };
  }

  #reference($ref: unknown, path: string): Schema {
    if (typeof $ref !== "string") return fail(`${path}.$ref`, "not a string");
    const name = definition($ref);
    if (name !== undefined && !this.#isDefined(name)) fail(`${path}.$ref`, "not one of the schema's `definitions`");
    return { $ref };
  }

  #fields(schema: JsonObject, path: string, copies: number): JsonObject {
    const { properties, required, patternProperties, additionalProperties: others } = schema;
    const named = properties !== undefined && readMap(properties, `${path}.properties`);
    const patterns = patternProperties === undefined ? [] : Object.values(readMap(patternProperties, `${path}.patternProperties`));
    // TypeScript knows no patterns of names: what any of them lets through is what a name may have.
    const open = others === true ? [true] : [...patterns, ...(others === undefined || others === false ? [] : [others])];
    // The type of all others is written with those of the fields in it.
    const within = named !== false && open.length > 0 && others !== true ? Math.floor(copies / 2) : copies;
    return {
      ...(named !== false && {
        properties: Object.fromEntries(
          Object.entries(named).map(([name, inner]) => [this.#texts.key(name), this.read(inner, `${path}.properties.${name}`, within)]),
        ),
      }),
      ...(required !== undefined && { required: listOf(required, `${path}.required`).map((name) => this.#name(name, path)) }),
      ...(others === false && { additionalProperties: false }),
      ...(open.length > 0 && { additionalProperties: within < 1 || this.#anyOf(open, `${path}.additionalProperties`, within) }),
    };
  }

  #anyOf(schemas: readonly unknown[], path: string, copies: number): Schema {
    const [first, ...more] = schemas.map((schema) => this.read(schema, path, copies));
    return more.length === 0 ? first! : { anyOf: [first, ...more] };
  }

  #name(name: unknown, path: string): string {
    return typeof name === "string" ? this.#texts.key(name) : fail(`${path}.required`, "not a list of names");
  }

  #items({ type, items, additionalItems, minItems, maxItems }: JsonObject, path: string, copies: number): JsonObject {
    for (const [name, count] of Object.entries({ minItems, maxItems })) {
      if (count !== undefined && !(Number.isSafeInteger(count) && (count as number) >= 0)) fail(`${path}.${name}`, "not a non-negative integer");
    }
    const [least = 0, most = Infinity] = [minItems, maxItems] as [number?, number?];
    if (least > most) fail(`${path}.minItems`, "greater than `maxItems`");
    if (Array.isArray(items)) return this.#tuple(listOf(items, `${path}.items`), additionalItems, [least, most], path, copies);
    const times = Math.max(least, 1);
    const fixed = least === most && least <= MAX_TUPLE && times <= copies;
    const bounds = fixed && { minItems, maxItems };
    if (items === undefined) return [type].flat().includes("array") ? { ...bounds } : {};
    return { ...bounds, items: this.read(items, `${path}.items`, fixed ? Math.floor(copies / times) : copies) };
  }

  /** A list whose items each have a schema of their own. */
  #tuple(items: readonly unknown[], rest: unknown, [least, most]: readonly [number, number], path: string, copies: number): JsonObject {
    // Each item is in the type of each length that reaches it.
    const within = Math.floor(copies / Math.max(1, items.length - least + 1));
    if (items.length > MAX_TUPLE || least > MAX_TUPLE || within < 1) return { type: "array" };
    return {
      items: items.map((item, index) => this.read(item, `${path}.items[${index}]`, within)),
      minItems: least,
      ...(most <= MAX_TUPLE && { maxItems: most }),
      ...(rest !== undefined && { additionalItems: this.read(rest, `${path}.additionalItems`, within) }),
    };
  }

  #combined(schema: JsonObject, path: string, copies: number): JsonObject {
    const combined: { [keyword: string]: unknown } = {};
    for (const keyword of ["allOf", "anyOf", "oneOf"]) {
      if (schema[keyword] === undefined) continue;
      const variants = listOf(schema[keyword], `${path}.${keyword}`);
      if (variants.length === 0) fail(`${path}.${keyword}`, "an empty list");
      combined[keyword] = variants.map((variant, index) => this.read(variant, `${path}.${keyword}[${index}]`, copies));
    }
    return combined;
  }

  /** The schema of one value: nothing in it is a keyword. */
  #literal(value: unknown): Schema {
    if (Array.isArray(value)) {
      if (value.length > MAX_TUPLE) return { type: "array" };
      const items = value.map((item) => this.#literal(item));
      return { type: "array", items, minItems: value.length, maxItems: value.length };
    }
    if (!isObject(value)) return { enum: [this.#scalar(value)] };
    const fields = Object.entries(readMap(value, "enum")).map(([name, inner]) => [this.#texts.key(name), this.#literal(inner)] as const);
    const required = fields.map(([name]) => name);
    return { type: "object", properties: Object.fromEntries(fields), required, additionalProperties: false };
  }

  #scalar(value: unknown): unknown {
    return typeof value === "string" ? this.#texts.value(value) : value;
  }
}

function readType(type: unknown, path: string): unknown {
  const types = Array.isArray(type) ? type : [type];
  if (types.length === 0 || new Set(types).size < types.length || !types.every((type) => TYPES.includes(type))) {
    fail(path, `not a JSON Schema type (${TYPES.join(", ")})`);
  }
  return type;
}

function listOf(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) return fail(path, "not a list");
  if (value.length > MOST_LISTED) fail(path, `too long: it may have up to ${MOST_LISTED} items`);
  return value;
}

function readMap(value: unknown, path: string): JsonObject {
  if (!isObject(value)) return fail(path, "not an object");
  if (Object.keys(value).length > MOST_LISTED) fail(path, `too large: it may have up to ${MOST_LISTED} fields`);
  return value;
}

function fail(path: string, what: string): never {
  throw new Error(`\`${path.replace(/^\./, "")}\` in its schema is ${what}`);
}
