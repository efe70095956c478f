/** What becomes of contracts that mean harm: whoever sends one is a stranger. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assertTypesAlone } from "../src/assert-types.js";
import { type Contract, generate, type Schema } from "../src/index.js";
import { codegen, compiled, hall, listen, NOTHING } from "./support.js";

const SECRET = "what-only-the-planted-file-holds";

let folder: string;
let planted: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-hostile-"));
  planted = join(folder, "planted.json");
  await writeFile(planted, JSON.stringify({ const: SECRET, definitions: { A: { const: SECRET } } }));
});
afterAll(() => rm(folder, { recursive: true }));

/** A server that says the secret, and counts who asks. */
async function trap(): Promise<{ origin: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end(JSON.stringify({ const: SECRET }));
  });
  return { origin: await listen(server), asked: () => asked };
}

/** Writes the types of a contract with the program itself. */
async function written(contract: Contract): Promise<{ code: number; stderr: string; text: string }> {
  const source = join(folder, "contract.json");
  await writeFile(source, JSON.stringify(contract));
  const module = join(folder, "dialogue.gen.ts");
  await rm(module, { force: true });
  const { code, stderr } = await codegen(source, "-o", module);
  return { code, stderr, text: await readFile(module, "utf8").catch(() => "") };
}

const CODE = "string; export const injected = ((globalThis as any).ran = true)";
/** Ends of comments, lines, texts and scripts, with code behind each. */
const BREAKS = ["*/", "**/ */", "\n", "\r", "\u2028", "\u2029", '"', "'", "`", "${ran}", "\\", "</script>", "<!--", "\0", "\u202e"]
  .map((end) => `${end} ${CODE}; //`)
  .join(" ");
const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "$ref",
  "$defs",
  "definitions",
  "tsType",
  "[k: string]",
  "new",
  "readonly x",
  'a"b',
  "a'b",
  "a`b",
  "a\\b",
  "a\nb",
  "${globalThis.ran = true}",
  "*/",
  "\\u0041",
  "A\u2028\u2029\u202e\u200bB",
  "\ud800",
  "</script>",
  "$k0$",
  '"$v0$"',
  "消息",
  "1",
  "",
];

test("hostile_contract_runs_reads_and_fetches_nothing", async () => {
  const { origin, asked } = await trap();
  const elsewhere = [planted, pathToFileURL(planted).href, `${origin}/schema.json`, `${origin}/#/definitions/A`];
  const data = elsewhere.map(($ref) => ({ $ref, nested: [{ $ref }] }));
  const powers = {
    tsType: CODE,
    tsEnumNames: [CODE],
    extends: { $ref: planted },
    $id: `${origin}/id`,
    id: `${origin}/id`,
    $schema: `${origin}/schema`,
    $anchor: "a",
    $dynamicRef: planted,
    $comment: BREAKS,
    $defs: { A: { $ref: planted } },
    not: { $ref: planted },
    if: { $ref: planted },
    dependencies: { a: { $ref: planted } },
    unknown: { $ref: planted, tsType: CODE, definitions: { A: { $ref: planted } } },
    "x-unknown": { $ref: planted },
    format: BREAKS,
    pattern: BREAKS,
    minimum: CODE,
    default: data[0],
    examples: data,
    nullable: true,
  };
  const text = { type: "string", title: BREAKS, description: BREAKS, deprecated: true, ...powers };
  const properties = {
    text,
    fixed: { const: data[0], ...powers },
    one: { enum: [...data, BREAKS, 7, null], ...powers },
    list: { items: { type: "string", description: BREAKS, enum: [BREAKS], tsEnumNames: [CODE] }, ...powers },
    map: { type: "object", patternProperties: { [`*/ */ ${BREAKS}`]: text }, ...powers },
    ruled: { type: "string", "x-dialogue-rules": [{ rule: "must_match", message: BREAKS, params: { other: BREAKS } }] },
  };
  const payload = { title: BREAKS, description: BREAKS, type: "object", properties, required: Object.keys(properties), ...powers };
  const event = (name: string, received: Schema) => ({ name, description: BREAKS, received, sent: received });
  const named = [BREAKS, ...NAMES].map((name) => {
    const fields = { text, ...Object.fromEntries([[name, text]]) };
    return event(name, { title: BREAKS, type: "object", properties: fields, required: Object.keys(fields) });
  });
  const rooms = named.map((event) => ({ pattern: event.name, description: BREAKS, events: [event], anyEvent: true }));
  rooms.push({ pattern: "hall", description: BREAKS, events: [event("payload", payload)], anyEvent: true });
  const contract = { ...NOTHING, name: BREAKS, version: BREAKS, hash: BREAKS, rooms, direct: named };

  const { code, stderr, text: module } = await written(contract);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(module).not.toContain(SECRET);
  expect(module).not.toMatch(/[^\n -~\p{Lo}]/u);
  expect(module).not.toContain("</script");
  const uses = [
    `type Payload = Contract["rooms"]["hall"]["events"]["payload"];`,
    `export const fixed: Payload["fixed"] = ${JSON.stringify(data[0])};`,
    `export const one: Payload["one"][] = ${JSON.stringify([...data, BREAKS, 7, null])};`,
    `export const list: Payload["list"] = ${JSON.stringify([BREAKS])};`,
    `export const map: Payload["map"] = { any: "text" };`,
    ...NAMES.map((name, n) => {
      const key = JSON.stringify(name);
      const room = `Contract["rooms"][${key}]`;
      return `export const named${n}: [keyof ${room}["triggers"], ${room}["events"][${key}][${key}], ${room}["triggers"][${key}][${key}]] = [${key}, "text", "text"];`;
    }),
    ...NAMES.map((name, n) => `export const direct${n}: Contract["direct"][${JSON.stringify(name)}]["text"] = "text";`),
    "// @ts-expect-error: what it says of itself is no type",
    `export const wrong: Payload["text"] = 7;`,
  ];
  expect(await compiled(folder, ...uses)).toBe("");
  expect({ ...(await import(join(folder, "dialogue.gen.ts"))) }).toEqual({ CONTRACT_HASH: BREAKS });
  expect(globalThis).not.toHaveProperty("ran");
  expect(asked()).toBe(0);
}, 60_000);

test("reference_that_leads_out_of_its_schema_is_refused_and_not_followed", async () => {
  const { origin, asked } = await trap();
  const references: unknown[] = [
    planted,
    pathToFileURL(planted).href,
    "planted.json",
    "planted.json#/definitions/A",
    `${origin}/schema.json`,
    `${origin}/schema.json#/definitions/A`,
    `//127.0.0.1:${new URL(origin).port}/schema.json`,
    "#anchor",
    "#/properties/a",
    "#/definitions/A/properties/a",
    "#/definitions/%",
    "#/definitions/missing",
    "#/definitions/__proto__",
    "#/definitions/constructor",
    "",
    7,
    { $ref: planted },
  ];
  const places: ((reference: Schema) => Schema)[] = [
    (schema) => schema,
    (schema) => ({ properties: { a: schema } }),
    (schema) => ({ patternProperties: { a: schema } }),
    (schema) => ({ additionalProperties: schema }),
    (schema) => ({ items: [schema], additionalItems: schema }),
    (schema) => ({ items: schema, minItems: 2, maxItems: 2 }),
    (schema) => ({ anyOf: [{ allOf: [{ oneOf: [schema] }] }] }),
    (schema) => ({ definitions: { A: schema } }),
  ];
  for (const $ref of references) {
    for (const place of places) {
      const schema = { definitions: { A: { type: "string" } }, ...(place({ $ref, description: "There." }) as object) };
      await expect(generate(hall({ name: "a", received: schema })), JSON.stringify(schema)).rejects.toThrow("cannot generate a type");
    }
  }
  const refused = await written(hall({ name: "a", received: { $ref: planted } }));
  expect(refused).toMatchObject({ code: 1, text: "", stderr: expect.stringContaining("leads out of its schema") });
  expect(asked()).toBe(0);
});

test.each<[string, Schema]>([
  ["type", { type: "any" }],
  ["type", { type: ["string", "string"] }],
  ["type", { type: { tsType: CODE } }],
  ["title", { title: { toString: CODE } }],
  ["description", { description: [BREAKS] }],
  ["deprecated", { deprecated: BREAKS }],
  ["properties", { properties: [CODE] }],
  ["properties.a", { properties: { a: CODE } }],
  ["required", { required: { length: 1e9 } }],
  ["required", { required: [7] }],
  ["items", { items: CODE }],
  ["items[0]", { items: [CODE] }],
  ["minItems", { items: [{}], minItems: `*/ ${CODE} /*` }],
  ["maxItems", { items: [{}], maxItems: 1.5 }],
  ["minItems", { items: {}, minItems: 2, maxItems: 1 }],
  ["enum", { enum: CODE }],
  ["enum", { enum: Array.from({ length: 5_001 }, () => 7) }],
  ["anyOf", { anyOf: [] }],
  ["allOf[0]", { allOf: [CODE] }],
  ["additionalProperties", { additionalProperties: CODE }],
  ["definitions", { definitions: [] }],
  ["definitions.A.type", { definitions: { A: { type: "any" } } }],
  ["x-dialogue-rules", { "x-dialogue-rules": [null] }],
  ["x-dialogue-rules", { "x-dialogue-rules": [{ rule: "ip", message: { toString: CODE } }] }],
])("schema_with_a_wrong_%s_is_refused", async (keyword, schema) => {
  const { code, stderr } = await written(hall({ name: "message", received: schema }));
  expect(code).toBe(1);
  expect(stderr).toContain("`message`");
  expect(stderr).toContain(`\`${keyword}\``);
});

test("schema_that_multiplies_makes_a_small_module", async () => {
  const nested = (wrap: (schema: Schema) => Schema) => Array.from({ length: 30 }).reduce<Schema>(wrap, { type: "string" });
  const schemas = [
    nested((items) => ({ type: "array", items, minItems: 16, maxItems: 16 })),
    nested((items) => ({ items: [items, { type: "string" }] })),
    nested((a) => ({ type: "object", properties: { a }, additionalProperties: { type: "number" } })),
    { items: [{ type: "string" }], minItems: 1e9, maxItems: 1e9 },
    { type: "array", minItems: 1e9, maxItems: 1e9 },
    { title: "A".repeat(1_000_000), anyOf: Array.from({ length: 1_000 }, () => ({ $ref: "#" })) },
  ];
  for (const received of schemas) expect((await generate(hall({ name: "a", received }))).length).toBeLessThan(400_000);
}, 60_000);

test("module_that_is_more_than_types_is_refused", () => {
  const HASH = 'export const CONTRACT_HASH = "abc";\n';
  expect(() => assertTypesAlone(`// A comment.\n${HASH}export interface A { b: "c" | null }\nexport type D = A[];`)).not.toThrow();
  for (const more of [
    "export const more = 1;",
    'export const more = "text";',
    "run();",
    'import "elsewhere";',
    'export * from "elsewhere";',
    "export enum A { B }",
    "export class A {}",
    "export default 1;",
    'export type A = import("elsewhere").A;',
    "export type A = typeof globalThis;",
    "declare global {}",
    "export namespace A { run(); }",
  ]) {
    expect(() => assertTypesAlone(HASH + more), more).toThrow("more than types");
  }
  expect(() => assertTypesAlone("export const CONTRACT_HASH = run();")).toThrow("more than types");
  expect(() => assertTypesAlone("export let CONTRACT_HASH = `${run()}`;")).toThrow("more than types");
});
