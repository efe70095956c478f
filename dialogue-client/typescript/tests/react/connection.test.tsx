// @vitest-environment happy-dom
import { afterEach, expect, test } from "vitest";
import type { Connection } from "../../src/react/index.js";
import { ExampleServer } from "../support/example-server.js";
import { clientOf, latest, open, render } from "./support.js";

let server: ExampleServer | undefined;

afterEach(() => server?.kill());

function Status({ see }: { see: (connection: Connection) => void }) {
  see(open.useConnection());
  return null;
}

test("a provider connects its client, whose connection is seen as it comes, goes and comes again", async () => {
  server = await ExampleServer.start("chat");
  const client = clientOf(server.url);
  const seen = latest<Connection>();
  const { unmount } = render(
    <open.DialogueProvider client={client}>
      <Status see={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()).toEqual({ state: "connected", userId: "ann", error: undefined });
  await server.kill();
  await expect.poll(() => seen.get()).toEqual({ state: "connecting", userId: "ann", error: undefined });
  await server.restart();
  await expect.poll(() => seen.get()?.state).toBe("connected");
  expect([...new Set(seen.values.map(({ state }) => state))]).toEqual(["disconnected", "connecting", "connected"]);

  unmount();
  expect(client.connected).toBe(true);
});

test("a provider keeps trying until there is a server", async () => {
  server = await ExampleServer.start("chat");
  await server.kill();
  const client = clientOf(server.url);
  const seen = latest<Connection>();
  render(
    <open.DialogueProvider client={client}>
      <Status see={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()?.state).toBe("connecting");
  await server.restart();
  await expect.poll(() => seen.get()).toEqual({ state: "connected", userId: "ann", error: undefined });
});

test("why there is no connection is seen, until there is one", async () => {
  server = await ExampleServer.start("chat");
  let userId = "system";
  const client = clientOf(server.url, { auth: () => ({ userId }) });
  const seen = latest<Connection>();
  render(
    <open.DialogueProvider client={client}>
      <Status see={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()).toMatchObject({ state: "disconnected", error: { code: "UNAUTHENTICATED" } });
  userId = "ann";
  await client.connect();
  await expect.poll(() => seen.get()).toEqual({ state: "connected", userId: "ann", error: undefined });
});
