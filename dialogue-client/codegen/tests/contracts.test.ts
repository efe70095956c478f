/** What becomes of contracts that no example has. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Contract, type EventContract, generate, parseContract } from "../src/index.js";
import { compiled, hall, NOTHING } from "./support.js";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-contracts-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What TypeScript says of a contract's types, and of lines that use them: nothing, if all is well. */
async function checked(contract: Contract, ...lines: string[]): Promise<string> {
  await writeFile(join(folder, "dialogue.gen.ts"), await generate(contract));
  const received = `type Events = Contract["rooms"]["hall"]["events"];`;
  return await compiled(folder, contract.rooms.length > 0 ? received : "", ...lines);
}

test("an empty contract is a module with a contract that is empty", async () => {
  const text = await generate(parseContract(JSON.stringify(NOTHING)));
  expect(text).toContain('export const CONTRACT_HASH = "abc";');
  expect(text).toContain("export interface Contract {\n  rooms: {};\n  direct: {};\n}");
  expect(await checked(NOTHING, "export const nothing: Contract = { rooms: {}, direct: {} };")).toBe("");
});

test("what would end a comment is no end of one", async () => {
  const description = "ends */ export const injected = 1; /*";
  const properties = { text: { type: "string", description } };
  const message = { title: "Message", type: "object", description, properties, required: ["text"] };
  const contract = { ...hall({ name: "message", received: message, sent: message }), name: "app" };
  const described = { ...contract, rooms: [{ ...contract.rooms[0]!, description }] };
  expect(await checked(described, 'export const event: Events["message"] = { text: "hello" };')).toBe("");
  const [line] = (await generate({ ...NOTHING, name: "app\nexport const injected = 1;" })).split("\n");
  expect(line).toContain("app export const injected");
  expect(Object.keys(await import(join(folder, "dialogue.gen.ts")))).toEqual(["CONTRACT_HASH"]);
});

test("what may be any JSON is of any type, whatever is said of it", async () => {
  const properties = { bare: true, empty: {}, documented: { description: "Any JSON.", deprecated: true, readOnly: true }, defaulted: { default: null } };
  const fields = { title: "Fields", type: "object", properties, required: Object.keys(properties) };
  const contract = hall(
    { name: "fields", received: fields },
    { name: "whole", received: { title: "Whole", description: "Any JSON." } },
    { name: "bare", received: true },
  );
  const values = [7, "text", null, ["list"], { key: "value" }].map((value) => JSON.stringify(value));
  const uses = values.flatMap((value, n) => [
    `export const fields${n}: Events["fields"] = { bare: ${value}, empty: ${value}, documented: ${value}, defaulted: ${value} };`,
    `export const whole${n}: Events["whole"] = ${value};`,
    `export const bare${n}: Events["bare"] = ${value};`,
  ]);
  expect(await checked(contract, ...uses)).toBe("");
});

test("types are called what nothing else is called", async () => {
  const contract = hall(
    { name: "contract", received: { title: "Contract", type: "string" } },
    { name: "hash", received: { title: "CONTRACT_HASH", type: "string" } },
    { name: "snake", received: { title: "Foo_bar", type: "number" } },
    { name: "camel", received: { title: "FooBar", type: "string" } },
    { name: "digit", received: { title: "foo2bar", type: "boolean" } },
    { name: "Digit", received: { title: "Foo2Bar", type: "null" } },
    { name: "消息", received: { type: "number" } },
  );
  const names = [...(await generate(contract)).matchAll(/^export (?:type|interface) (\w+)/gm)].map(([, name]) => name);
  expect(names.sort()).toEqual(
    ["CONTRACTHASH", "Contract", "Foo2Bar", "FooBar", "HallContract", "HallFoo2Bar", "HallFooBar", "HallRoom", "T"].sort(),
  );
  const uses = [
    'export const contract: Events["contract"] = "text";',
    'export const snake: Events["snake"] = 7;',
    'export const camel: Events["camel"] = "text";',
    'export const digits: [Events["digit"], Events["Digit"]] = [true, null];',
    'export const message: Events["消息"] = 7;',
  ];
  expect(await checked(contract, ...uses)).toBe("");
});

test.each([
  ["no list of rooms", { rooms: {} }, "`rooms` is not a list"],
  ["a room without a pattern", { rooms: [{ events: [], anyEvent: false }] }, "`rooms[0].pattern` is not a string"],
  ["an event without a schema", hall({ name: "message" } as EventContract), "`rooms[0].events[0].received` is not a schema"],
  ["a schema that is none", { direct: [{ name: "m", received: true, sent: "m" }] }, "`direct[0].sent` is not a schema"],
  ["no hash", { hash: undefined }, "`hash` is not a string"],
])("a contract with %s is refused", (_, wrong, why) => {
  expect(() => parseContract(JSON.stringify({ ...NOTHING, ...wrong }))).toThrow(why);
});

test("what is written depends on exact versions alone", async () => {
  const { dependencies } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect(Object.keys(dependencies)).toContain("prettier");
  for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});
