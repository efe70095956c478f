/** How much of a contract is read, for how long, and over what. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseContract } from "../src/index.js";
import { read } from "../src/read.js";
import { codegen, listen, NOTHING } from "./support.js";

const MOST_BYTES = 4 * 1024 * 1024;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dialogue-bounds-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("file_without_an_end_is_read_up_to_4_mib", async () => {
  const long = await codegen("/dev/zero");
  expect(long).toMatchObject({ code: 1, stderr: expect.stringContaining(`longer than ${MOST_BYTES} bytes`) });
  const text = JSON.stringify(NOTHING);
  const file = join(folder, "long.json");
  await writeFile(file, text + " ".repeat(MOST_BYTES - text.length));
  expect(await codegen(file)).toMatchObject({ code: 0 });
  await writeFile(file, text + " ".repeat(MOST_BYTES - text.length + 1));
  expect(await codegen(file)).toMatchObject({ code: 1, stderr: expect.stringContaining(`longer than ${MOST_BYTES} bytes`) });
  expect(() => parseContract(text + " ".repeat(MOST_BYTES))).toThrow(`longer than ${MOST_BYTES} bytes`);
});

test("answer_without_an_end_is_read_up_to_4_mib", async () => {
  let sent = 0;
  const server = createServer((_, response) => {
    const chunk = Buffer.alloc(64 * 1024, " ");
    const more = () => {
      while (response.write(chunk)) sent += chunk.length;
      sent += chunk.length;
      response.once("drain", more);
    };
    more();
  });
  const answer = codegen(await listen(server));
  expect(await answer).toMatchObject({ code: 1, stderr: expect.stringContaining(`longer than ${MOST_BYTES} bytes`) });
  expect(sent).toBeGreaterThan(MOST_BYTES);
});

test("answer_that_does_not_end_in_time_is_given_up", async () => {
  const silent = await listen(createServer(() => {}));
  await expect(read(silent, { timeoutMs: 50 })).rejects.toMatchObject({ cause: { message: "no complete response within 50 ms" } });
  const slow = await listen(createServer((_, response) => void response.write("{")));
  await expect(read(slow, { timeoutMs: 500 })).rejects.toMatchObject({ cause: { message: "no complete response within 500 ms" } });
});

test("contract_that_nests_deeper_than_128_levels_is_refused", () => {
  const nested = (depth: number) => JSON.stringify({ ...NOTHING, extra: 0 }).replace(":0", `:${"[".repeat(depth)}${"]".repeat(depth)}`);
  expect(() => parseContract(nested(127))).not.toThrow();
  expect(() => parseContract(nested(128))).toThrow("nests deeper than 128 levels");
  expect(() => parseContract(nested(1_000_000))).toThrow("nests deeper than 128 levels");
});

test("http_beyond_this_machine_is_warned_of", async () => {
  const serve = () => createServer((_, response) => void response.end(JSON.stringify(NOTHING)));
  // An address that is no loopback one, and leads to this machine.
  const beyond = await listen(serve(), "0.0.0.0");
  const warned = await codegen(beyond);
  expect(warned).toMatchObject({ code: 0, stderr: expect.stringMatching(/^warning: `http:\/\/0\.0\.0\.0:\d+\/dialogue\/contract\.json` is not encrypted/) });
  const loopback = await listen(serve());
  for (const origin of [loopback, loopback.replace("127.0.0.1", "localhost").replace("http", "HTTP")]) {
    expect(await codegen(origin)).toMatchObject({ code: 0, stderr: "" });
  }
  const led = await listen(createServer((_, response) => void response.writeHead(302, { location: `${beyond}/` }).end()));
  expect(await codegen(led)).toMatchObject({ code: 0, stderr: expect.stringMatching(/^warning: .* leads to `http:\/\/0\.0\.0\.0:\d+\/`, which is not encrypted/) });
});

test("error_about_a_hostile_contract_writes_no_commands_to_the_terminal", async () => {
  const file = join(folder, "terminal.json");
  await writeFile(file, JSON.stringify({ ...NOTHING, direct: [{ name: "\u001b[2J\u009b\u202e", received: { type: "any" } }] }));
  const { code, stderr } = await codegen(file);
  expect({ code, commands: stderr.match(/[^\P{C}\n]/gu) }).toEqual({ code: 1, commands: null });
});
