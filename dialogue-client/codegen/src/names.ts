/** How long the name of a type may be: it is written wherever the type is used. */
const LONGEST = 128;

/** A name for a type: `user:joined` becomes `UserJoined`. Of the letters and digits of ASCII alone, as those that are written. */
export function typeName(text: string): string {
  const words = text.slice(0, LONGEST).normalize("NFKD").replace(/\p{M}/gu, "").split(/[^A-Za-z\d]+/);
  const name = words.join(" ").replace(/(?:^| |\d)[a-z]/g, (start) => start.toUpperCase()).replaceAll(" ", "");
  return /^[A-Z]/.test(name) ? name : `T${name}`;
}
