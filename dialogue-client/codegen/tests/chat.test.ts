import { expect, test } from "vitest";
import { chat, serve } from "./support.js";

test("a program prints the contract that it serves", async () => {
  const server = await serve();
  try {
    const served = await fetch(`${server.origin}/dialogue/contract.json`);
    expect(chat("--contract")).toBe(`${await served.text()}\n`);
  } finally {
    server.stop();
  }
});
