/** How large a contract may be, in bytes: one of a thousand events fits. */
export const MOST_BYTES = 4 * 1024 * 1024;

/** How deep a contract's JSON may nest, in objects and lists. */
const MOST_DEPTH = 128;

/** How many fields, variants, values or definitions one schema may list. */
export const MOST_LISTED = 5_000;

/** How many characters the types may have before they are laid out. */
export const MOST_WRITTEN = 8 * 1024 * 1024;

/** How long a server may take to answer with its contract, in milliseconds. */
export const MOST_MS = 30_000;

/**
 * Rejects JSON that nests deeper than {@link MOST_DEPTH}. It walks level by level, because recursion would overflow the
 * call stack.
 *
 * @throws Error with the maximum depth.
 */
export function checkDepth(json: unknown): void {
  let level = [json].filter(isNested);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MOST_DEPTH) throw new Error(`the contract nests deeper than ${MOST_DEPTH} levels`);
    level = level.flatMap((value) => Object.values(value).filter(isNested));
  }
}

function isNested(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
