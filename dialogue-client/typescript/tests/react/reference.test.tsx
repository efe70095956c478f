// @vitest-environment happy-dom
/** The hooks of the reference's client page, as it shows them: only imports, types and addresses are others. */
import { useEffect, useState } from "react";
import { afterEach, expect, test } from "vitest";
import { createDialogueClient, type DialogueClient, type EventMessage, type Room } from "../../src/index.js";
import { ExampleServer } from "../support/example-server.js";
import { clientOf, render } from "./support.js";

let server: ExampleServer | undefined;

afterEach(() => server?.kill());

function useDialogue(url: string, userId: string) {
  const [client] = useState(() =>
    createDialogueClient({
      url,
      auth: { userId },
      autoConnect: false,
    }),
  );
  const [connected, setConnected] = useState(false);
  useEffect(() => {
    client.onConnect(() => setConnected(true));
    client.onDisconnect(() => setConnected(false));
    client.connect();
    return () => {
      client.disconnect();
    };
  }, [client]);
  return { client, connected };
}

function useRoom(client: DialogueClient, roomId: string) {
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => {
    if (!client.connected) return;
    client.join(roomId).then(setRoom);
    return () => {
      room?.leave();
    };
  }, [client, roomId, client.connected]);
  return room;
}

function ChatRoom({ url, roomId }: { url: string; roomId: string }) {
  const { client, connected } = useDialogue(url, "user-123");
  const room = useRoom(client, roomId);
  const [messages, setMessages] = useState<EventMessage<{ text: string }>[]>([]);
  useEffect(() => {
    if (!room) return;
    const unsubscribe = room.on<{ text: string }>("message", (msg) => {
      setMessages((prev) => [...prev, msg]);
    });
    return unsubscribe;
  }, [room]);
  if (!connected || !room) {
    return <div>Connecting...</div>;
  }
  return (
    <div>
      <h1>{room.roomName}</h1>
      {messages.map((msg) => (
        <p key={msg.id}>
          {msg.from}: {msg.data.text}
        </p>
      ))}
    </div>
  );
}

test.each([false, true])("the reference's own hooks work, with StrictMode: %s", async (strict) => {
  server = await ExampleServer.start("chat");
  const { page } = render(<ChatRoom url={server.url.replace("http:", "ws:")} roomId="general" />, { strict });
  expect(page.textContent).toBe("");
  await expect.poll(() => page.textContent).toBe("General Chat");
  const bob = clientOf(server.url, { auth: { userId: "bob" } });
  await bob.connect();
  const general = await bob.join("general");
  await general.trigger("message", { text: "Hello", senderId: "bob" });
  await general.trigger("message", { text: "Bye", senderId: "bob" });
  await expect.poll(() => page.textContent).toBe("General Chatbob: Hellobob: Bye");
});
