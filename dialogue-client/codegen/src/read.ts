import { createReadStream } from "node:fs";
import { MOST_BYTES, MOST_MS } from "./limits.js";

/** Where a server publishes its contract, unless it says otherwise. */
const PATH = "/dialogue/contract.json";

/** How to read a contract from a server. */
export interface ReadOptions {
  /** HTTP headers, each as `name: value`. Default: none. */
  readonly headers?: readonly string[] | undefined;
  /** Called with a warning if the connection is not encrypted. Default: does nothing. */
  readonly warn?: ((problem: string) => void) | undefined;
  /** Time limit for the server's complete response, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Reads a contract's text from a file or a URL. `/dialogue/contract.json` is the path of a URL without one.
 *
 * @throws Error with the source and the reason: unreadable, longer than 4 MiB, or (for a URL) slower than `timeoutMs`.
 */
export async function read(source: string, { headers = [], warn = () => {}, timeoutMs = MOST_MS }: ReadOptions = {}): Promise<string> {
  if (!/^https?:\/\//i.test(source)) {
    return text(createReadStream(source)).catch((cause) => fail(`\`${source}\` cannot be read`, cause));
  }
  const url = new URL(source);
  if (url.pathname === "/") url.pathname = PATH;
  if (isUnencrypted(url)) warn(`\`${url}\` is not encrypted: anyone on the network path can read the headers and replace the contract; use https`);
  const late = new Error(`no complete response within ${timeoutMs} ms`);
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
  if (response.redirected && !isUnencrypted(url) && isUnencrypted(new URL(response.url))) {
    warn(`\`${url}\` leads to \`${response.url}\`, which is not encrypted: whoever is on the way may write another contract`);
  }
  if (!response.ok) {
    throw new Error(`\`${url}\` answers ${response.status}: does the server publish its contract?`);
  }
  return await text(response.body ?? []).catch((cause) => fail(`\`${url}\` cannot be read`, cause));
}

/** Whether a request is unencrypted and leaves this machine. */
function isUnencrypted({ protocol, hostname }: URL): boolean {
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
