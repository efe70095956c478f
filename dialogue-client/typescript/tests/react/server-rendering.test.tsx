import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { chat, clientOf } from "./support.js";
import type { Chat } from "../support/chat-contract.js";

function Page() {
  const { state: connection } = chat.useConnection();
  const { room, state } = chat.useRoom("general");
  const { messages, hasMore, loading } = chat.useHistory(room, "message");
  chat.useEvent(room, "typing", () => {});
  return JSON.stringify({ connection, state, messages, hasMore, loading });
}

test("a page is rendered on a server as it is before there is a connection, and none is made", async () => {
  const client = clientOf<Chat>("http://127.0.0.1:9");
  const html = renderToString(
    <chat.DialogueProvider client={client}>
      <Page />
    </chat.DialogueProvider>,
  );
  expect(JSON.parse(html.replaceAll("&quot;", '"'))).toEqual({
    connection: "disconnected",
    state: "joining",
    messages: [],
    hasMore: false,
    loading: false,
  });
  expect(client.state).toBe("disconnected");
});

test("hooks without a provider say what is missing", () => {
  expect(() => renderToString(<Page />)).toThrow("`DialogueProvider`");
});
