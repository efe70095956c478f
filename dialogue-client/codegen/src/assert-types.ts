import { parsers } from "prettier/plugins/typescript";

/** The declarations that the module may export besides the hash. */
const TYPES: readonly unknown[] = ["TSInterfaceDeclaration", "TSTypeAliasDeclaration"];
/** Type syntax that refers to another module or to a value. */
const ELSEWHERE: readonly unknown[] = ["TSImportType", "TSTypeQuery", "TSExternalModuleReference"];

/**
 * Last line of defence: checks that a generated module contains only type declarations and one string constant.
 *
 * @throws Error if the module contains anything else.
 */
export function assertTypesAlone(module: string): void {
  const { body } = parsers.typescript.parse(module, { filepath: "dialogue.gen.ts" } as never) as { body: Node[] };
  const constants = body.filter((statement) => !(statement.type === "ExportNamedDeclaration" && TYPES.includes((statement.declaration as Node | null)?.type)));
  if (constants.length !== 1 || !isText(constants[0]!) || leadsElsewhere(body)) {
    throw new Error("the generated module contains more than types: this is a bug of dialogue-codegen; please report it with the contract");
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
