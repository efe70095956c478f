import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/**
 * What a program announces in a line of its output, within the parentheses of a
 * pattern. Whatever it writes later is dropped.
 *
 * @throws Error with `otherwise` if the output ends before.
 */
export async function announced(output: Readable, pattern: RegExp, otherwise: string): Promise<string> {
  let found: string | undefined;
  for await (const line of createInterface({ input: output })) {
    found = pattern.exec(line)?.[1];
    if (found !== undefined) break;
  }
  // To leave the loop pauses it, and who writes to a full pipe stands still.
  output.resume();
  if (found === undefined) throw new Error(otherwise);
  return found;
}
