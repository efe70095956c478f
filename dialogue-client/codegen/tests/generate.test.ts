import { lstat, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codegen, parse, shapes, tsc } from "./support.js";

const GENERATED = fileURLToPath(new URL("generated", import.meta.url));
const MODULE = join(GENERATED, "dialogue.gen.ts");

let folder: string;
let contract: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-codegen-"));
  contract = join(folder, "contract.json");
  await writeFile(contract, shapes("contract"));
  await mkdir(GENERATED, { recursive: true });
  expect(await codegen(contract, "-o", MODULE)).toMatchObject({ code: 0, stderr: "" });
});

afterAll(() => rm(folder, { recursive: true }));

describe("the types of a contract", () => {
  test("are those that were looked at", async () => {
    await expect(await readFile(MODULE, "utf8")).toMatchFileSnapshot("dialogue.gen.snap.ts");
  });

  test("fit what Rust sends, and what is sent to it", async () => {
    const values = JSON.parse(shapes("values")) as { [event: string]: unknown[] };
    const lines = Object.entries(values).flatMap(([event, values]) => {
      const type = { strict: STRICT, letter: DIRECT }[event] ?? `Contract["rooms"]["all"]["events"][${JSON.stringify(event)}]`;
      return values.map((value, n) => `export const ${identifier(event)}${n}: ${type} = ${JSON.stringify(value)};`);
    });
    const received = `import type { Contract } from "./dialogue.gen.js";\n${lines.join("\n")}\n`;
    expect(lines.length).toBeGreaterThan(20);
    await writeFile(join(GENERATED, "received.ts"), received);
    await writeFile(join(GENERATED, "tsconfig.json"), JSON.stringify(PROJECT));
    expect(await tsc(GENERATED)).toBe("");
  }, 60_000);

  test("are of what Rust parses", async () => {
    const { sent } = await import(SENT);
    expect(() => parse(sent)).not.toThrow();
    expect(() => parse({ count: ["7"] })).toThrow("count");
  });
});

describe("dialogue-codegen", () => {
  test("writes the same text each time, and says with --check whether it is there", async () => {
    const file = join(folder, "same.ts");
    const missing = await codegen(contract, "-o", file, "--check");
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot be read") });

    const printed = await codegen(contract);
    await codegen(contract, "-o", file);
    expect(await readFile(file, "utf8")).toBe(printed.stdout);
    expect(await codegen(contract, "-o", file, "--check")).toMatchObject({ code: 0 });

    await writeFile(file, `${printed.stdout}// more\n`);
    const changed = await codegen(contract, "-o", file, "--check");
    expect(changed).toMatchObject({ code: 1, stderr: expect.stringContaining("is out of date") });
  });

  test("asks a server by its origin alone", async () => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      if (request.url === "/dialogue/contract.json") response.end(shapes("contract"));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      expect((await codegen(origin)).stdout).toBe((await codegen(contract)).stdout);
      expect(await codegen(`${origin}/else`)).toMatchObject({ code: 1, stderr: expect.stringContaining("answers 404") });
    } finally {
      server.close();
    }
    expect(asked).toEqual(["/dialogue/contract.json", "/else"]);
    expect(await codegen(origin)).toMatchObject({ code: 1, stderr: expect.stringContaining("cannot be reached") });
  });

  test("tells the server the headers that it is to see", async () => {
    const server = createServer(({ headers }, response) => {
      if (headers.authorization === "Bearer a:b" && headers["x-app"] === "1") response.end(shapes("contract"));
      else response.writeHead(401).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      expect(await codegen(origin)).toMatchObject({ code: 1, stderr: expect.stringContaining("answers 401") });
      const told = await codegen(origin, "--header", "Authorization: Bearer a:b", "--header", "X-App: 1");
      expect(told).toMatchObject({ code: 0, stdout: await readFile(MODULE, "utf8") });
      const wrong = await codegen(origin, "--header", "Bearer");
      expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("`Bearer` is no header") });
    } finally {
      server.close();
    }
  });

  test("writes only what has changed, and leaves nothing else behind", async () => {
    const inside = await mkdtemp(join(folder, "written-"));
    const file = join(inside, "dialogue.gen.ts");
    await codegen(contract, "-o", file);
    const written = await stat(file, { bigint: true });
    await codegen(contract, "-o", file);
    expect((await stat(file, { bigint: true })).mtimeNs).toBe(written.mtimeNs);

    await writeFile(file, "of an older contract");
    const opened = await open(file);
    await codegen(contract, "-o", file);
    expect(await readFile(file, "utf8")).toBe(await readFile(MODULE, "utf8"));
    // Who has it open reads all of what it was.
    expect(await opened.readFile("utf8")).toBe("of an older contract");
    await opened.close();
    expect(await readdir(inside)).toEqual(["dialogue.gen.ts"]);

    const link = join(inside, "link.ts");
    await symlink(file, link);
    await writeFile(file, "of an older contract");
    await codegen(contract, "-o", link);
    expect(await readFile(file, "utf8")).toBe(await readFile(MODULE, "utf8"));
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await codegen(contract, "-o", "/dev/null")).toMatchObject({ code: 0 });
    expect(await codegen(contract, "-o", join(inside, "no/such/folder.ts"))).toMatchObject({ code: 1 });
  });

  test.each([
    ["what is no JSON", "<html>", "it is not valid JSON"],
    ["what is no contract", "{}", "`protocol` is missing"],
    ["a later protocol", '{ "protocol": 2 }', "install the version of dialogue-codegen"],
  ])("refuses %s", async (_, text, why) => {
    const file = join(folder, "wrong.json");
    await writeFile(file, text);
    expect(await codegen(file)).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(why) });
  });

  test("says how it is used", async () => {
    for (const args of [[], ["a", "b"], [contract, "--check"], ["--unknown", contract]]) {
      expect((await codegen(...args)).code).toBe(1);
    }
    expect(await codegen("--help")).toMatchObject({ code: 0, stdout: expect.stringContaining("--check") });
  });
});

/** Not checked with this file, but with the types that are generated. */
const SENT: string = "./sent.js";
const STRICT = 'Contract["rooms"]["strict:{of}:{theKind}"]["events"]["nested"]';
const DIRECT = 'Contract["direct"]["letter"]';
/** As strict as can be: what is not in a type does not fit it. */
const PROJECT = {
  compilerOptions: {
    target: "ES2022",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: [],
  },
  include: [".", "../sent.ts"],
};

function identifier(event: string): string {
  return event.replace(/\W/g, "_");
}
