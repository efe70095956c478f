import { createReadStream } from "node:fs";
import { MOST_BYTES, MOST_MS } from "./limits.js";

/** Where a server publishes its contract, unless it says otherwise. */
const PATH = "/dialogue/contract.json";

/** How to read a contract from a server. */
export interface ReadOptions {
  /** What the server is told besides, where it shows its contract to some alone: `name: value`. Default: nothing. */
  readonly headers?: readonly string[] | undefined;
  /** Is told where whoever is on the way reads the headers, and may write another contract. Default: nobody is. */
  readonly warn?: ((problem: string) => void) | undefined;
  /** How long the server may take for its whole answer, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Reads a contract's text from a file, or from a server: from the URL as it
 * is, or from the usual place where it is the origin alone.
 *
 * @throws Error that says what is wrong, and with what: a contract of more than 4 MiB, or one that is not there within
 * 30 seconds, among them.
 */
export async function read(source: string, { headers = [], warn = () => {}, timeoutMs = MOST_MS }: ReadOptions = {}): Promise<string> {
  if (!/^https?:\/\//i.test(source)) {
    return text(createReadStream(source)).catch((cause) => fail(`\`${source}\` cannot be read`, cause));
  }
  const url = new URL(source);
  if (url.pathname === "/") url.pathname = PATH;
  if (isOpen(url)) warn(`\`${url}\` is not encrypted: whoever is on the way reads the headers, and may write another contract; use https`);
  const late = new Error(`there is no whole answer within ${timeoutMs} ms`);
  const stop = new AbortController();
  const deadline = setTimeout(() => stop.abort(late), timeoutMs);
  try {
    return await ask(url, headers, warn, stop.signal);
  } finally {
    clearTimeout(deadline);
  }
}

async function ask(url: URL, headers: readonly string[], warn: (problem: string) => void, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { headers: headers.map(parseHeader), signal }).catch((cause) => fail(`\`${url}\` cannot be reached`, cause));
  if (response.redirected && !isOpen(url) && isOpen(new URL(response.url))) {
    warn(`\`${url}\` leads to \`${response.url}\`, which is not encrypted: whoever is on the way may write another contract`);
  }
  if (!response.ok) {
    throw new Error(`\`${url}\` answers ${response.status}: does the server publish its contract?`);
  }
  return await text(response.body ?? []).catch((cause) => fail(`\`${url}\` cannot be read`, cause));
}

/** Whether others may read and change what is sent: it goes beyond this machine as it is. */
function isOpen({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && !/^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}

/** All of a text, unless it is longer than a contract may be. */
async function text(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`it is longer than ${MOST_BYTES} bytes`);
    read.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(read));
}

function parseHeader(header: string): [name: string, value: string] {
  const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(header) ?? [];
  if (name === undefined || value === undefined) throw new Error(`\`${header}\` is no header: write \`name: value\``);
  return [name, value];
}

function fail(message: string, cause: unknown): never {
  throw new Error(message, { cause });
}
