// @vitest-environment happy-dom
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Chat } from "../support/chat-contract.js";
import { ExampleServer } from "../support/example-server.js";
import { chat, clientOf } from "./support.js";

function Page() {
  const { state: connection, userId } = chat.useConnection();
  const { room, state } = chat.useRoom("general");
  const { messages, loading } = chat.useHistory(room, "message");
  return <p>{`${connection} ${userId} ${state} ${messages.length} ${loading}`}</p>;
}

test("a page that was rendered on a server is taken over by a client that is connected and joined already", async () => {
  const server = await ExampleServer.start("chat");
  onTestFinished(() => server.kill());
  const client = clientOf<Chat>(server.url);
  const tree = (
    <chat.DialogueProvider client={client}>
      <Page />
    </chat.DialogueProvider>
  );
  const page = document.createElement("div");
  page.innerHTML = renderToString(tree);
  expect(page.textContent).toBe("disconnected  joining 0 false");
  await client.connect();
  await client.join("general");

  const complained = vi.spyOn(console, "error");
  const onRecoverableError = vi.fn();
  const root = hydrateRoot(page, tree, { onRecoverableError });
  onTestFinished(() => root.unmount());
  await expect.poll(() => page.textContent).toBe("connected ann joined 0 false");
  expect(complained).not.toHaveBeenCalled();
  expect(onRecoverableError).not.toHaveBeenCalled();
});
