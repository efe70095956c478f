/** What is published, in a project of somebody else. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { codegen, shapes } from "./support.js";

const run = promisify(execFile);
const PACKAGE = join(import.meta.dirname, "..");

test("the package has its licences, and its program runs with what it asks for alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dialogue-codegen-package-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  // As it is built: other tests are running what is there.
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: PACKAGE });
  const [tarball] = await readdir(folder);
  const installed = join(folder, "node_modules/dialogue-codegen");
  await mkdir(installed, { recursive: true });
  await run("tar", ["-xzf", join(folder, tarball!), "-C", installed, "--strip-components", "1"]);
  const { bin, dependencies } = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
  for (const dependency of Object.keys(dependencies)) {
    await symlink(join(PACKAGE, "node_modules", dependency), join(folder, "node_modules", dependency));
  }
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    expect(await readFile(join(installed, licence), "utf8")).toBe(await readFile(join(PACKAGE, "../..", licence), "utf8"));
  }

  const contract = join(folder, "contract.json");
  await writeFile(contract, shapes("contract"));
  const { stdout } = await run(process.execPath, [join(installed, bin["dialogue-codegen"]), contract]);
  expect(stdout).toBe((await codegen(contract)).stdout);
  await writeFile(join(folder, "use.mjs"), 'console.log(Object.keys(await import("dialogue-codegen")).sort().join(" "));');
  expect((await run(process.execPath, [join(folder, "use.mjs")])).stdout).toBe("generate parseContract\n");
}, 30_000);
