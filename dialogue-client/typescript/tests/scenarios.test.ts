import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";

const HERE = new URL(".", import.meta.url);
const LIST = new URL("../../scenarios.md", HERE);

test("every scenario is a test of this client, by its id", async () => {
  const ids = [...(await readFile(LIST, "utf8")).matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id]) => id);
  const files = (await readdir(HERE)).filter((file) => file.endsWith(".test.ts"));
  const tests = (await Promise.all(files.map((file) => readFile(new URL(file, HERE), "utf8")))).join();
  expect(ids.length).toBeGreaterThan(30);
  expect(ids.filter((id) => !tests.includes(`"${id}: `))).toEqual([]);
});
