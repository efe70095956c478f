import { readFile } from "node:fs/promises";

/** Where a server publishes its contract, unless it says otherwise. */
const PATH = "/dialogue/contract.json";

/**
 * Reads a contract's text from a file, or from a server: from the URL as it
 * is, or from the usual place where it is the origin alone.
 *
 * @throws Error that says what is wrong, and with what.
 */
export async function read(source: string): Promise<string> {
  if (!/^https?:\/\//.test(source)) {
    return readFile(source, "utf8").catch((cause) => fail(`\`${source}\` cannot be read`, cause));
  }
  const url = new URL(source);
  if (url.pathname === "/") url.pathname = PATH;
  const response = await fetch(url).catch((cause) => fail(`\`${url}\` cannot be reached`, cause));
  if (!response.ok) {
    throw new Error(`\`${url}\` answers ${response.status}: does the server publish its contract?`);
  }
  return response.text();
}

function fail(message: string, cause: unknown): never {
  throw new Error(message, { cause });
}
