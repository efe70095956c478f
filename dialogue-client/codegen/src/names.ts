/** Maximum length of the text that a type name is made of, in UTF-16 units. */
const MAX_LENGTH = 128;

/** Converts a text to a type name of ASCII letters and digits: `user:joined` becomes `UserJoined`. */
export function typeName(text: string): string {
  const words = text.slice(0, MAX_LENGTH).normalize("NFKD").replace(/\p{M}/gu, "").split(/[^A-Za-z\d]+/);
  const name = words.join(" ").replace(/(?:^| |\d)[a-z]/g, (start) => start.toUpperCase()).replaceAll(" ", "");
  return /^[A-Z]/.test(name) ? name : `T${name}`;
}
