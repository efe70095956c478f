/**
 * Replaces the untrusted strings of a contract (field names, values, descriptions) by tokens. json-schema-to-typescript
 * only sees tokens, so no name acts as a keyword and no string becomes code. {@link restore} puts the escaped strings
 * back.
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

  /** Replaces the tokens in generated declarations by their strings. */
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
 * Invisible and direction-changing characters and lone surrogates: with them, a reader would see other code than the
 * compiler. The list is fixed, because Unicode properties differ between versions of Node.
 */
const UNSEEN =
  /[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\u{e0000}-\u{e0fff}\p{Cs}]/gu;

/** Starts of `</script>` and `<!--`, which are unsafe in an inline script. */
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
