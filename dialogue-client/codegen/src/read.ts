import { readFile } from "node:fs/promises";

/** Where a server publishes its contract, unless it says otherwise. */
const PATH = "/dialogue/contract.json";

/**
 * Reads a contract's text from a file, or from a server: from the URL as it
 * is, or from the usual place where it is the origin alone.
 *
 * @param headers What a server is told besides, for those that show their contract to some alone: `name: value`.
 * @throws Error that says what is wrong, and with what.
 */
export async function read(source: string, headers: readonly string[] = []): Promise<string> {
  if (!/^https?:\/\//.test(source)) {
    return readFile(source, "utf8").catch((cause) => fail(`\`${source}\` cannot be read`, cause));
  }
  const url = new URL(source);
  if (url.pathname === "/") url.pathname = PATH;
  const response = await fetch(url, { headers: headers.map(parseHeader) }).catch((cause) => fail(`\`${url}\` cannot be reached`, cause));
  if (!response.ok) {
    throw new Error(`\`${url}\` answers ${response.status}: does the server publish its contract?`);
  }
  return response.text();
}

function parseHeader(header: string): [name: string, value: string] {
  const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(header) ?? [];
  if (name === undefined || value === undefined) throw new Error(`\`${header}\` is no header: write \`name: value\``);
  return [name, value];
}

function fail(message: string, cause: unknown): never {
  throw new Error(message, { cause });
}
