/** What is published, in projects of others. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const PACKAGE = join(import.meta.dirname, "..");
const ROOT = join(PACKAGE, "../..");
/** What the package asks for, which is installed here. */
const DEPENDENCIES = ["socket.io-client", "react", "@types/react"];

let folder: string;
const modules = () => join(folder, "node_modules");
const installed = () => join(modules(), "dialogue-client");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-package-"));
  // As deep in its repository as it is, so that whatever is written outside is found.
  const copy = join(folder, "repository/dialogue-client/typescript");
  const skipped = ["node_modules", "dist", "tests"].map((name) => join(PACKAGE, name));
  await cp(PACKAGE, copy, { recursive: true, filter: (source) => !skipped.includes(source) });
  await symlink(join(PACKAGE, "node_modules"), join(copy, "node_modules"));
  await run("npm", ["pack"], { cwd: copy });
  const [tarball] = (await readdir(copy)).filter((name) => name.endsWith(".tgz"));
  await mkdir(installed(), { recursive: true });
  await run("tar", ["-xzf", join(copy, tarball!), "-C", installed(), "--strip-components", "1"]);
  for (const dependency of DEPENDENCIES) {
    await mkdir(join(modules(), dependency, ".."), { recursive: true });
    await symlink(join(PACKAGE, "node_modules", dependency), join(modules(), dependency));
  }
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

test("the package has its licences, and all that it exports, and packing writes nothing elsewhere", async () => {
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    expect(await readFile(join(installed(), licence), "utf8")).toBe(await readFile(join(ROOT, licence), "utf8"));
  }
  expect((await readdir(installed())).sort()).toEqual(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json"]);
  expect(await readdir(join(folder, "repository"))).toEqual(["dialogue-client"]);
  expect(await readdir(join(folder, "repository/dialogue-client"))).toEqual(["typescript"]);
});

const USE = `
import { createDialogueClient, type DialogueClient, DialogueError } from "dialogue-client";
import { createDialogueHooks, type UsedRoom } from "dialogue-client/react";

interface Contract {
  rooms: { general: { triggers: { message: { text: string } }; events: { message: { text: string } } } };
}
const client: DialogueClient<Contract> = createDialogueClient<Contract>({ url: "http://127.0.0.1:9", autoConnect: false });
export const { useRoom } = createDialogueHooks<Contract>();
export function Used(): UsedRoom<Contract["rooms"]["general"]> {
  return useRoom("general");
}
export async function use(): Promise<void> {
  const room = await client.join("general");
  await room.trigger("message", { text: "hello" });
  // @ts-expect-error a payload of another shape
  await room.trigger("message", { text: 7 });
}
export const problem = new DialogueError("TIMEOUT", "too late");
`;

test.each([
  ["node16", { module: "node16", moduleResolution: "node16" }],
  ["bundler", { module: "esnext", moduleResolution: "bundler" }],
])("its types are found by a project whose modules are resolved as %s", async (name, resolution) => {
  const project = join(folder, name);
  await mkdir(project);
  await writeFile(join(project, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(join(project, "use.ts"), USE);
  const compilerOptions = { ...resolution, target: "ES2022", strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: [] };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const tsc = join(PACKAGE, "node_modules/typescript/bin/tsc");
  const { stdout } = await run(process.execPath, [tsc, "--project", project]).catch((error) => error);
  expect(stdout).toBe("");
}, 60_000);

test("Node imports it", async () => {
  await writeFile(
    join(folder, "use.js"),
    `import { createDialogueClient } from "dialogue-client";
     import { createDialogueHooks } from "dialogue-client/react";
     const client = createDialogueClient({ url: "http://127.0.0.1:9", autoConnect: false });
     console.log(client.state, Object.keys(createDialogueHooks()).includes("useRoom"));`,
  );
  const { stdout } = await run(process.execPath, [join(folder, "use.js")]);
  expect(stdout).toBe("disconnected true\n");
});
