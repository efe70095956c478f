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
  -o, --out <file>         where to; without it, to standard output
  --check                  writes nothing: fails if the file is not what would be written
  --header <name: value>   sent to the server, which may show its contract to some alone`;

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

/** Writes a file as a whole, or not at all where it is the same: whoever watches it sees no half of it. */
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
  const problem = found === undefined ? "cannot be read" : "is not what the contract says";
  throw new Error(`\`${file}\` ${problem}: run dialogue-codegen without \`--check\``);
}

function warn(problem: string): void {
  console.error(printable(`warning: ${problem}`));
}

/** Without what a terminal takes for a command: a contract may have written part of it. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{C}\n]/gu, "\u{fffd}");
}

/** What went wrong, and below it why. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
