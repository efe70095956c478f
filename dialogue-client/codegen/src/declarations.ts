import { createHash } from "node:crypto";
import { typeName } from "./names.js";
import type { PayloadSchema } from "./read-schema.js";
import { objectOf, replaceReferences, type Schema } from "./schema.js";

/** The type declarations of a module, by name. Equal schemas of one name share a declaration. */
export class Declarations {
  readonly #schemas = new Map<string, Schema>();
  readonly #names = new Map<string, string>();
  readonly #taken: Set<string>;

  /** @param taken Names that stand for something else. */
  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken);
  }

  /** All of them, for references from one to another. */
  get definitions(): { readonly [name: string]: Schema } {
    return Object.fromEntries(this.#schemas);
  }

  /**
   * Declares a schema and its definitions. Each gets its own name, or the first
   * free one of its other names, or the last of these with a number. Returns the
   * schema's name.
   */
  add(name: string, others: OtherNames, schema: PayloadSchema): string {
    return this.#declare(name, schema.root, { name, others, ...schema });
  }

  /** Declares a schema that refers to what is declared here already. Returns the name. */
  addReferring(name: string, others: OtherNames, schema: Schema): string {
    return this.#put(this.#free(name, others), schema);
  }

  #declare(wanted: string, schema: Schema, bundle: Bundle): string {
    const meaning = `${wanted} ${hash(withReferences(schema, bundle))}`;
    const known = this.#names.get(meaning);
    if (known !== undefined) return known;
    const name = this.#free(wanted, bundle.others);
    // Set before the recursion: the schema may refer to itself.
    this.#names.set(meaning, name);
    const complete = replaceReferences(schema, (inner) => {
      if (inner === undefined) return this.#declare(bundle.name, bundle.root, bundle);
      return this.#declare(typeName(inner), bundle.defined.get(inner) ?? true, bundle);
    });
    return this.#put(name, complete);
  }

  #put(name: string, schema: Schema): string {
    const { $ref, ...rest } = objectOf(schema);
    this.#schemas.set(name, { ...($ref === undefined ? rest : { allOf: [{ $ref }] }), title: name });
    return name;
  }

  /** Takes a name that is free. */
  #free(name: string, others: OtherNames): string {
    const names = [name, ...others(name)];
    let free = names.find((name) => !this.#taken.has(name));
    for (let n = 2; free === undefined; n++) {
      const numbered = `${names.at(-1)}${n}`;
      if (!this.#taken.has(numbered)) free = numbered;
    }
    this.#taken.add(free);
    return free;
  }
}

/** What a type may be called if its name is taken, the best first. */
export type OtherNames = (name: string) => readonly string[];

/** A schema, what it defines for itself, and what they are called. */
interface Bundle extends PayloadSchema {
  readonly name: string;
  readonly others: OtherNames;
}

/** A schema with all schemas that it refers to, for comparison. */
function withReferences(schema: Schema, bundle: Bundle): unknown {
  const met = new Map<string, Schema>();
  const visit = (schema: Schema) => {
    replaceReferences(schema, (name) => {
      const key = name ?? "";
      if (!met.has(key)) {
        const target = name === undefined ? bundle.root : (bundle.defined.get(name) ?? true);
        met.set(key, target);
        visit(target);
      }
      return key;
    });
  };
  visit(schema);
  return [schema, [...met]];
}

/** Hashes the text, because each text contains all schemas that it refers to. */
function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64");
}
