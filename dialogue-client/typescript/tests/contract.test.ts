import { afterAll, beforeAll, expect, test } from "vitest";
import { createDialogueClient } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";

let server: ExampleServer;
let hash: string;

beforeAll(async () => {
  server = await ExampleServer.start("chat");
  const contract = await fetch(`${server.url}/dialogue/contract.json`);
  ({ hash } = (await contract.json()) as { hash: string });
});
afterAll(() => server.kill());

/** The hashes that a client hears of until it is connected, if it was made from the contract with this one. */
async function heardOf(contract: string | undefined): Promise<string[]> {
  const client = createDialogueClient({ url: server.url, contract });
  const heard: string[] = [];
  client.onContractChanged((hash) => heard.push(hash));
  await client.connect();
  client.disconnect();
  return heard;
}

test("a client that was made from another contract hears of the server's", async () => {
  expect(await heardOf("another")).toEqual([hash]);
});

test("a client that was made from the server's contract hears of none", async () => {
  expect(await heardOf(hash)).toEqual([]);
});

test("a client that does not say from which contract it was made hears of none", async () => {
  expect(await heardOf(undefined)).toEqual([]);
});
