#!/usr/bin/env node
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { parseContract } from "./contract.js";
import { generate } from "./generate.js";
import { read } from "./read.js";

const USAGE = `\
dialogue-codegen <url or file> [-o <file>] [--check] [--header <name: value>]..

Writes the TypeScript types of a Dialogue server's contract.

  <url or file>            the server's origin, the URL of its contract, or a file that holds it
  -o, --out <file>         output file; default: standard output
  --check                  write nothing, and fail if the output file is out of date
  --header <name: value>   HTTP header for the server, such as credentials; may be repeated`;

try {
  await main();
} catch (error) {
  console.error(printable(describe(error)));
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: "string", short: "o" },
      check: { type: "boolean", default: false },
      header: { type: "string", multiple: true },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const [source] = positionals;
  if (source === undefined || positionals.length > 1 || (values.check && values.out === undefined)) {
    throw new Error(USAGE);
  }
  const text = await generate(parseContract(await read(source, { headers: values.header, warn })));
  if (values.out === undefined) process.stdout.write(text);
  else if (values.check) await check(values.out, text);
  else await write(values.out, text);
}

/** Replaces a file atomically. Does not touch it if it has the same content. */
async function write(path: string, text: string): Promise<void> {
  const file = await realpath(path).catch(() => path);
  const found = await stat(file).catch(() => undefined);
  // A pipe or a device is neither read nor replaced.
  if (found && !found.isFile()) return await writeFile(file, text);
  if ((await contents(file)) === text) return;
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function contents(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch(() => undefined);
}

async function check(file: string, text: string): Promise<void> {
  const found = await contents(file);
  if (found === text) return;
  const problem = found === undefined ? "cannot be read" : "is out of date";
  throw new Error(`\`${file}\` ${problem}: run dialogue-codegen without \`--check\``);
}

function warn(problem: string): void {
  console.error(printable(`warning: ${problem}`));
}

/** Replaces control characters, because a part of the text may come from the contract. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{C}\n]/gu, "\u{fffd}");
}

/** The messages of an error and of its causes, separated by colons. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
