/**
 * The texts of a contract, which are a stranger's: names of fields, values and descriptions. What makes the types sees
 * tokens in their place, so that no name is a keyword there and no text is code; {@link restore} writes each as what it
 * is.
 */
export class Texts {
  readonly #texts = new Map<string, string>();
  readonly #tokens: string[] = [];

  /** The token of a field's name. */
  key(name: string): string {
    return this.#token("k", /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));
  }

  /** The token of a text that is a value. */
  value(text: string): string {
    return this.#token("v", quoted(text));
  }

  /** The token of a description. */
  description(text: string): string {
    return this.#token("d", comment(text).replaceAll("\n", "\n * "));
  }

  /** Puts the texts in place of their tokens, which stand where what was made of schemas has them. */
  restore(declarations: string): string {
    return declarations.replaceAll(/"\$v(\d+)\$"|\$[kd](\d+)\$/g, (_, value, other) => this.#tokens[value ?? other]!);
  }

  #token(kind: "d" | "k" | "v", written: string): string {
    const key = kind + written;
    let token = this.#texts.get(key);
    if (token === undefined) {
      token = `$${kind}${this.#tokens.push(written) - 1}$`;
      this.#texts.set(key, token);
    }
    return token;
  }
}

/**
 * What is invisible, turns the direction of what follows it, or is half of a character: a reader would see other code
 * than the compiler. A list of its own, so that each version of Node writes the same.
 */
const UNSEEN =
  /[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}\p{Cs}]/gu;

/** What ends a script in a page, or begins a comment there. */
const MARKUP = /<(?=[/!])/g;

/** A text as a literal of TypeScript. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(UNSEEN, escaped).replaceAll(MARKUP, "\\u003c");
}

/** A text within a comment, each of its lines one of the comment. */
export function comment(text: string): string {
  return text
    .replaceAll(/\r\n?|[\u0085\u2028\u2029]/g, "\n")
    .replaceAll(/[\0-\x08\x0b-\x1f]/g, " ")
    .replaceAll(UNSEEN, escaped)
    .replaceAll("*/", "*\\/")
    .replaceAll(MARKUP, "<\\");
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!.toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
}
