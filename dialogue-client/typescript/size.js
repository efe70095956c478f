// Prints how large the client is without socket.io-client, minified and gzipped, and fails where that is too much.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST = 10_010;

const { outputFiles } = await build({
  absWorkingDir: dirname(fileURLToPath(import.meta.url)),
  entryPoints: ["src/index.ts"],
  external: ["socket.io-client"],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  write: false,
});
const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`${bytes} of ${MOST} bytes: the client without socket.io-client, minified and gzipped`);
if (bytes >= MOST) process.exitCode = 1;
