import { type Defined, replaceReferences, type Schema } from "./schema.js";

/** Types that are to be declared, by their names. What is the same is declared once. */
export class Declarations {
  readonly #schemas = new Map<string, Schema>();
  readonly #names = new Map<string, string>();

  /** All of them, for references from one to another. */
  get definitions(): Defined {
    return Object.fromEntries(this.#schemas);
  }

  /**
   * Declares a schema, with all that it defines for itself. Each is called by
   * its own name or, where that stands for something else, by the first of its
   * other names that is free, or a number after the last one. Returns the name.
   */
  add(name: string, others: OtherNames, schema: Schema): string {
    const { definitions = {}, ...root } = typeof schema === "object" ? schema : { not: schema ? false : {} };
    return this.#declare(name, root, { name, others, root, defined: definitions as Defined });
  }

  /** Declares a schema that refers to what is declared here already. Returns the name. */
  addReferring(name: string, others: OtherNames, schema: Schema): string {
    return this.#put(this.#free(name, others), schema);
  }

  #declare(wanted: string, schema: Schema, bundle: Bundle): string {
    const meaning = `${wanted}\n${JSON.stringify(withReferences(schema, bundle))}`;
    const known = this.#names.get(meaning);
    if (known !== undefined) return known;
    const name = this.#free(wanted, bundle.others);
    // It may refer to itself.
    this.#names.set(meaning, name);
    this.#schemas.set(name, {});
    const complete = replaceReferences(schema, (inner) => {
      if (inner === undefined) return this.#declare(bundle.name, bundle.root, bundle);
      return this.#declare(typeName(inner), bundle.defined[inner] ?? true, bundle);
    });
    return this.#put(name, complete);
  }

  #put(name: string, schema: Schema): string {
    this.#schemas.set(name, typeof schema === "object" ? { ...schema, title: name } : { title: name });
    return name;
  }

  #free(name: string, others: OtherNames): string {
    const names = [name, ...others(name)];
    const free = names.find((name) => !this.#schemas.has(name));
    if (free !== undefined) return free;
    for (let n = 2; ; n++) {
      const numbered = `${names.at(-1)}${n}`;
      if (!this.#schemas.has(numbered)) return numbered;
    }
  }
}

/** What a type may be called if its name is taken, the best first. */
export type OtherNames = (name: string) => readonly string[];

/** A schema, what it defines for itself, and what they are called. */
interface Bundle {
  readonly name: string;
  readonly others: OtherNames;
  readonly root: Schema;
  readonly defined: Defined;
}

/** A schema with everything that it leads to: two that are equal mean the same. */
function withReferences(schema: Schema, bundle: Bundle): unknown {
  const met = new Map<string, Schema>();
  const visit = (schema: Schema) => {
    replaceReferences(schema, (name) => {
      const key = name ?? "";
      if (!met.has(key)) {
        const target = name === undefined ? bundle.root : (bundle.defined[name] ?? true);
        met.set(key, target);
        visit(target);
      }
      return key;
    });
  };
  visit(schema);
  return [schema, [...met]];
}

/** A name for a type: `user:joined` becomes `UserJoined`. */
export function typeName(text: string): string {
  const words = text.split(/[^\p{ID_Continue}]+/u).filter(Boolean);
  const name = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("");
  return /^\p{ID_Start}/u.test(name) ? name : `T${name}`;
}
