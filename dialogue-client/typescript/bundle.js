// Bundles the client and all that it needs into one ES module for browsers,
// with the licences of what is in it at its end. The same sources and the same
// locked packages give the same bytes.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { outfile: { type: "string", default: join(root, "../../dialogue/assets/client.js") } },
});
const outfile = resolve(values.outfile);

const { metafile, outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  outfile,
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  charset: "utf8",
  legalComments: "eof",
  metafile: true,
  write: false,
});

const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(input)?.[1];
  if (name) packages.add(name);
}
const [bundle] = outputFiles;
await mkdir(dirname(outfile), { recursive: true });
await writeFile(outfile, `${bundle.text}/*!\n${await licences([...packages].sort())}\n*/\n`);

/** The licence texts of packages, each once, under the packages that it covers. */
async function licences(names) {
  const covered = new Map();
  for (const name of names) {
    const folder = join(root, "node_modules", name);
    const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const text = (await readFile(join(folder, "LICENSE"), "utf8")).trim();
    covered.set(text, [...(covered.get(text) ?? []), `${name} ${version}`]);
  }
  return [...covered].map(([text, packages]) => `Contains ${packages.join(", ")}:\n\n${text}`).join("\n\n---\n\n");
}
