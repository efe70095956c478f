import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDialogueClient, type DialogueClient } from "../src/index.js";
import { ExampleServer } from "./support/example-server.js";

let server: ExampleServer;
let client: DialogueClient;

beforeEach(async () => {
  server = await ExampleServer.start("chat");
});
afterEach(async () => {
  client.disconnect();
  await server.kill();
});

test("a client that was made from another contract than the server's is told of it", async () => {
  client = createDialogueClient({ url: server.url, contract: "old" });
  const changed = vi.fn();
  client.onContractChanged(changed);
  await client.connect();
  expect(changed).toHaveBeenCalledExactlyOnceWith(await hash());
});

test("with the same contract, or with none, nothing is said of it", async () => {
  for (const contract of [await hash(), undefined]) {
    client = createDialogueClient({ url: server.url, contract });
    const changed = vi.fn();
    client.onContractChanged(changed);
    await client.connect();
    expect(changed).not.toHaveBeenCalled();
    client.disconnect();
  }
});

/** The hash of the server's contract. */
async function hash(): Promise<string> {
  const response = await fetch(`${server.url}/dialogue/contract.json`);
  return ((await response.json()) as { hash: string }).hash;
}
