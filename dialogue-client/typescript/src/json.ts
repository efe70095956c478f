/** Objects that JSON writes by their fields or items, by their tags; it leaves out what others hold. */
const WRITABLE = /^\[object (Object|Array|String|Number|Boolean)\]$/;

/**
 * A value as JSON.
 *
 * @throws TypeError with the path of what JSON would leave out or change, such as a `Map` or `NaN`. Fields that are
 * `undefined` are left out.
 */
export function writeJson(value: unknown): string {
  // The objects around what is being written, and the keys by which they were reached.
  const parents: unknown[] = [];
  const keys: string[] = [];
  return JSON.stringify(value, function (this: unknown, key: string, value: unknown) {
    while (parents.length > 0 && parents.at(-1) !== this) {
      parents.pop();
      keys.pop();
    }
    // A `Buffer` writes itself as something else, and an invalid `Date` as null.
    const own = (this as { [key: string]: unknown })[key];
    const written = ArrayBuffer.isView(own) || (value === null && own instanceof Date) ? own : value;
    const lost = parents.includes(value) ? "cycle" : lostValue(written, this);
    if (lost !== undefined) throw new TypeError(`JSON cannot hold the ${lost} at \`${pathOf([...keys, key])}\``);
    if (typeof value === "object" && value !== null) {
      parents.push(value);
      keys.push(key);
    }
    return value;
  });
}

/** What a value is if JSON cannot hold it. */
function lostValue(value: unknown, parent: unknown): string | undefined {
  if (value instanceof Number) value = Number(value);
  switch (typeof value) {
    case "bigint":
    case "function":
    case "symbol":
      return typeof value;
    case "undefined":
      return Array.isArray(parent) ? "undefined" : undefined;
    case "number":
      return Number.isFinite(value) ? undefined : `${value}`;
    case "object": {
      const tag: string = Object.prototype.toString.call(value);
      if (value === null || WRITABLE.test(tag)) return undefined;
      // A valid one has written itself as a text.
      return value instanceof Date ? "invalid Date" : tag.slice(8, -1);
    }
  }
  return undefined;
}

/** Keys as one path: `data.lines[0].price`. The first one is the whole value's, and empty. */
function pathOf([, ...keys]: readonly string[]): string {
  return keys.map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key}`)).join("").replace(/^\./, "");
}

/** How many bytes a text has in UTF-8. Not by `TextEncoder`, which React Native may not have. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Two units of the range 0xd800 to 0xdfff are one character of four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
  }
  return bytes;
}
