import { parsers } from "prettier/plugins/typescript";

/** What may be exported besides the hash. */
const TYPES: readonly unknown[] = ["TSInterfaceDeclaration", "TSTypeAliasDeclaration"];
/** The types that lead to another module, or to a value. */
const ELSEWHERE: readonly unknown[] = ["TSImportType", "TSTypeQuery", "TSExternalModuleReference"];

/**
 * Makes sure that a module runs nothing, whatever has gone wrong before it was written: it declares types, and one
 * constant that is a text.
 *
 * @throws Error if it does anything else.
 */
export function assertTypesAlone(module: string): void {
  const { body } = parsers.typescript.parse(module, { filepath: "dialogue.gen.ts" } as never) as { body: Node[] };
  const constants = body.filter((statement) => !(statement.type === "ExportNamedDeclaration" && TYPES.includes((statement.declaration as Node | null)?.type)));
  if (constants.length !== 1 || !isText(constants[0]!) || leadsElsewhere(body)) {
    throw new Error("what would be written is more than types: please report the contract that leads to it");
  }
}

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** `export const NAME = "text";` */
function isText(statement: Node): boolean {
  const { kind, declarations } = (statement.declaration ?? {}) as { kind?: string; declarations?: { init: Node | null }[] };
  const init = declarations?.[0]?.init;
  return kind === "const" && declarations?.length === 1 && init?.type === "Literal" && typeof init.value === "string";
}

function leadsElsewhere(nodes: readonly unknown[]): boolean {
  const rest = [...nodes];
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if (typeof node !== "object" || node === null) continue;
    if (ELSEWHERE.includes((node as Node).type)) return true;
    for (const inner of Object.values(node)) if (inner !== undefined) rest.push(inner);
  }
  return false;
}
