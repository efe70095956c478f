import { expect, test, vi } from "vitest";
import { createDialogueClient } from "../src/index.js";
import { byteLength, writeJson } from "../src/json.js";
import { HostileServer } from "./support/hostile-server.js";

class Money {
  constructor(readonly cents: number) {}
  toJSON() {
    return `${this.cents / 100}`;
  }
}

class Point {
  readonly x = 1;
}

const cycle: { of: unknown[] } = { of: [] };
cycle.of.push(cycle);

test.each([
  [{ at: new Date(0), price: new Money(150), url: new URL("http://a.b/") }],
  [{ point: new Point(), none: undefined, nothing: null, list: [[], [{}], "\ud800"], "": { "0": true } }],
  [Object.assign(Object.create(null), { a: 1 })],
  [{ zero: -0, boxed: [new Number(1), new String("a"), new Boolean(false)], [Symbol("left out")]: 1, nothing: { toJSON: () => null } }],
  [{ tagged: Object.assign(new Map(), { toJSON: () => null }), error: Object.assign(new Error("no"), { toJSON: () => null }) }],
  [{ shared: [] as unknown[], again: [] as unknown[] }],
  ["text"],
])("what JSON holds is written as it is: %j", (value) => {
  expect(writeJson(value)).toBe(JSON.stringify(value));
});

test("a value that is in two places is written in both", () => {
  const one = { a: [1] };
  expect(writeJson([one, one, { one }])).toBe(JSON.stringify([one, one, { one }]));
});

test.each<[unknown, string]>([
  [{ users: new Map([["ann", 1]]) }, "the Map at `users`"],
  [{ a: { tags: new Set() } }, "the Set at `a.tags`"],
  [{ a: [1, { bytes: new Uint8Array([9]) }] }, "the Uint8Array at `a[1].bytes`"],
  [{ a: [Buffer.from("x")] }, "the Uint8Array at `a[0]`"],
  [{ buffer: new ArrayBuffer(1) }, "the ArrayBuffer at `buffer`"],
  [{ file: new Blob([]) }, "the Blob at `file`"],
  [{ error: new Error("no") }, "the Error at `error`"],
  [{ later: Promise.resolve() }, "the Promise at `later`"],
  [{ first: { x: 1 }, position: { x: 1, y: NaN } }, "the NaN at `position.y`"],
  [{ list: [[1], [-Infinity]] }, "the -Infinity at `list[1][0]`"],
  [{ list: [1, undefined] }, "the undefined at `list[1]`"],
  [{ list: [1, , 2] }, "the undefined at `list[1]`"],
  [{ id: 7n }, "the bigint at `id`"],
  [{ run: () => {} }, "the function at `run`"],
  [{ name: Symbol("a") }, "the symbol at `name`"],
  [{ at: [new Date(NaN)] }, "the invalid Date at `at[0]`"],
  [{ price: new Number(NaN) }, "the NaN at `price`"],
  [{ id: Object(7n) }, "the BigInt at `id`"],
  [{ a: [{ self: cycle }] }, "the cycle at `a[0].self.of[0]`"],
])("what JSON would leave out or change is named by its path: %#", (value, message) => {
  expect(() => writeJson(value)).toThrow(new TypeError(`JSON cannot hold ${message}`));
});

test.each(["", "text", "\u00e9\u20ac\u{1f600}\u07ff\u0800\uffff", JSON.stringify("\ud800")])("%j has as many bytes as in UTF-8", (text) => {
  expect(byteLength(text)).toBe(new TextEncoder().encode(text).length);
});

async function connected(auth?: object) {
  const server = await HostileServer.start();
  const client = createDialogueClient({ url: server.url, autoConnect: false, ...(auth && { auth }) });
  client.onError(() => {});
  return { server, client };
}

test("a payload that JSON cannot hold is rejected before it is sent", async () => {
  const { server, client } = await connected();
  await client.connect();
  const triggered = vi.fn();
  server.answers.set("dialogue:trigger", [triggered]);
  const room = await client.join("hall");
  const error = { code: "INVALID_REQUEST", roomId: "hall", event: "stored" };
  const scores = room.trigger("stored", { scores: new Map([["ann", 1]]) });
  await expect(scores).rejects.toMatchObject({
    ...error,
    message: "the payload is no JSON: JSON cannot hold the Map at `data.scores`",
    cause: expect.any(TypeError),
  });
  const meta = room.trigger("stored", null, { at: NaN });
  await expect(meta).rejects.toMatchObject({ ...error, message: expect.stringContaining("the NaN at `meta.at`") });
  await client.listRooms();
  expect(triggered).not.toHaveBeenCalled();
  client.disconnect();
});

test("a request that JSON cannot hold is rejected before it is sent", async () => {
  const { server, client } = await connected();
  await client.connect();
  const created = vi.fn();
  server.answers.set("dialogue:createRoom", [created]);
  const room = client.createRoom({ id: "den", name: "Den", maxSize: NaN });
  await expect(room).rejects.toMatchObject({ code: "INVALID_REQUEST", message: expect.stringContaining("the NaN at `maxSize`") });
  await client.listRooms();
  expect(created).not.toHaveBeenCalled();
  client.disconnect();
});

test("credentials that JSON cannot hold are not sent", async () => {
  const { client } = await connected({ claims: new Map() });
  await expect(client.connect()).rejects.toMatchObject({
    code: "UNAUTHENTICATED",
    cause: new TypeError("JSON cannot hold the Map at `claims`"),
  });
});

test("a trigger where there is no `crypto` is sent with a key", async () => {
  vi.stubGlobal("crypto", undefined);
  const { server, client } = await connected();
  await client.connect();
  const room = await client.join("hall");
  expect(await room.trigger("stored", { text: "sent" })).toMatchObject({ epoch: "1f" });
  expect(server.keys).toEqual([expect.stringMatching(/^[a-z0-9]+-[a-z0-9]+-[a-z0-9]+$/)]);
  client.disconnect();
  vi.unstubAllGlobals();
});
