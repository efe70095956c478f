import { execFile, execFileSync, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import type { Contract, EventContract } from "../src/index.js";

const run = promisify(execFile);
const BINARIES = process.env.DIALOGUE_EXAMPLES ?? fileURLToPath(new URL("../../../target/debug", import.meta.url));
const PACKAGE = fileURLToPath(new URL("..", import.meta.url));

/** What the program with events of every shape says. */
export function shapes(command: "asyncapi" | "contract" | "values"): string {
  return execFileSync(join(BINARIES, "shapes"), [command], { encoding: "utf8" });
}

/** Has Rust parse values of events, by the events' names. Throws what it says of the first that it refuses. */
export function parse(values: { readonly [event: string]: readonly unknown[] }): void {
  execFileSync(join(BINARIES, "shapes"), ["parse"], { input: JSON.stringify(values), stdio: "pipe" });
}

/** What the chat prints. */
export function chat(...args: string[]): string {
  return execFileSync(join(BINARIES, "chat"), args, { encoding: "utf8" });
}

/** Serves the chat. */
export async function serve(): Promise<{ origin: string; stop: () => void }> {
  const server = spawn(join(BINARIES, "chat"), { env: { ...process.env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface(server.stdout)) {
    const origin = line.split("listening on ")[1];
    if (origin !== undefined) return { origin, stop: () => server.kill() };
  }
  throw new Error("the chat does not listen");
}

/** Serves on a free port of an address until the test ends; resolves with the origin. */
export async function listen(server: Server, address = "127.0.0.1"): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${address}:${(server.address() as AddressInfo).port}`;
}

/** Runs `dialogue-codegen`, as it is built. */
export async function codegen(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return node(join(PACKAGE, "dist/main.js"), ...args);
}

/** What `tsc` says of a folder that has a `tsconfig.json`: nothing, if all is well. */
export async function tsc(folder: string): Promise<string> {
  const { stdout, stderr } = await node(join(PACKAGE, "node_modules/typescript/bin/tsc"), "--project", folder);
  return stdout + stderr;
}

/** A contract with nothing in it. */
export const NOTHING: Contract = { protocol: 1, name: "app", version: "1.0.0", hash: "abc", rooms: [], direct: [] };

/** A contract with one room, `hall`, that carries these events. */
export function hall(...events: EventContract[]): Contract {
  return { ...NOTHING, rooms: [{ pattern: "hall", events, anyEvent: false }] };
}

/** What TypeScript says of a module `dialogue.gen.ts` in a folder, and of lines that use its `Contract`: nothing, if all is well. */
export async function compiled(folder: string, ...lines: string[]): Promise<string> {
  const head = `import type { Contract } from "./dialogue.gen.js";`;
  await writeFile(join(folder, "use.ts"), [head, ...lines].join("\n"));
  const compilerOptions = { target: "ES2022", module: "NodeNext", strict: true, noEmit: true, types: [] };
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  return await tsc(folder);
}

async function node(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return { code: 0, ...(await run(process.execPath, args, { encoding: "utf8" })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}
