// @vitest-environment happy-dom
import { type ReactNode, useState } from "react";
import { afterEach, expect, test } from "vitest";
import type { DialogueClient, EventMessage } from "../../src/index.js";
import type { UsedRoom } from "../../src/react/index.js";
import type { Chat } from "../support/chat-contract.js";
import { ExampleServer } from "../support/example-server.js";
import { login } from "../support/login.js";
import { next } from "../support/next.js";
import { chat, clientOf, countingJoins, latest, open, render } from "./support.js";

let server: ExampleServer | undefined;

afterEach(() => server?.kill());

const bob = { auth: { userId: "bob" } };

async function joined(url: string) {
  const client = clientOf<Chat>(url, bob);
  await client.connect();
  return await client.join("general", { subscribe: ["*"] });
}

/** Shows what `useRoom` gives. */
function Room({ id, seen }: { id: string; seen: (used: UsedRoom<any>) => void }) {
  seen(open.useRoom(id));
  return null;
}

test("components of one room share one join under StrictMode, and the room is left a moment after the last", async () => {
  server = await ExampleServer.start("chat");
  const { proxy, joins } = await countingJoins(server.url);
  const others = await joined(server.url);
  const [come, gone]: [string[], string[]] = [[], []];
  others.on("user:joined", ({ from }) => come.push(from));
  others.on("user:left", ({ from }) => gone.push(from));
  const [one, two] = [latest<UsedRoom<any>>(), latest<UsedRoom<any>>()];
  const client = clientOf(proxy.url);
  const tree = (both: boolean) => (
    <open.DialogueProvider client={client}>
      <Room id="general" seen={one.see} />
      {both && <Room id="general" seen={two.see} />}
    </open.DialogueProvider>
  );
  const { draw, unmount } = render(tree(true));
  await expect.poll(() => two.get()?.state).toBe("joined");
  expect(one.values[0]).toEqual({ room: undefined, state: "joining", error: undefined });
  expect(one.get()?.room).toBe(two.get()?.room);
  await expect.poll(() => come).toEqual(["bob", "ann"]);

  draw(tree(false));
  unmount();
  expect(client.getRoom("general")).toBe(one.get()?.room);
  await expect.poll(() => gone, { timeout: 3_000 }).toEqual(["ann"]);
  expect(joins).toEqual(["general"]);
});

test("a component that is unmounted and mounted again finds its room as it was", async () => {
  server = await ExampleServer.start("chat");
  const { proxy, joins } = await countingJoins(server.url);
  const client = clientOf(proxy.url);
  const seen = latest<UsedRoom<any>>();
  const tree = (child: ReactNode) => <open.DialogueProvider client={client}>{child}</open.DialogueProvider>;
  const { draw } = render(tree(<Room id="general" seen={seen.see} />));
  await expect.poll(() => seen.get()?.state).toBe("joined");
  await new Promise<void>((resolve) => draw(tree(<p ref={() => resolve()} />)));
  seen.values.length = 0;
  draw(tree(<Room id="general" seen={seen.see} />));
  await expect.poll(() => seen.values.length).toBeGreaterThan(0);
  expect(seen.values.map(({ state }) => state)).not.toContain("joining");
  expect(joins).toEqual(["general"]);
});

test("what components subscribe to is added up, with the room's defaults where one names nothing", async () => {
  server = await ExampleServer.start("chat");
  const others = await joined(server.url);
  const heard: string[] = [];
  const hear = ({ event, from }: EventMessage) => from === "bob" && heard.push(event);
  function Typing() {
    const { room } = chat.useRoom("general", { subscribe: ["typing"] });
    chat.useEvent(room, "typing", hear);
    return null;
  }
  function Messages() {
    const { room } = chat.useRoom("general");
    chat.useEvent(room, "message", hear);
    return null;
  }
  const client = clientOf<Chat>(server.url);
  await client.connect();
  render(
    <chat.DialogueProvider client={client}>
      <Typing />
      <Messages />
    </chat.DialogueProvider>,
  );
  await expect
    .poll(async () => {
      await others.trigger("typing", { isTyping: true });
      return heard;
    })
    .toContain("typing");
  await others.trigger("message", { text: "Hello", senderId: "bob" });
  await expect.poll(() => heard).toContain("message");
});

test("an event that the join itself causes is heard, and always by the latest handler", async () => {
  server = await ExampleServer.start("chat");
  const heard: string[] = [];
  let redraw: (name: string) => void;
  function Hall() {
    const [name, setName] = useState("first");
    redraw = setName;
    const { room } = chat.useRoom("general");
    chat.useEvent(room, "user:joined", ({ data }) => heard.push(`${name}: ${data.userId}`));
    return null;
  }
  const client = clientOf<Chat>(server.url);
  render(
    <chat.DialogueProvider client={client}>
      <Hall />
    </chat.DialogueProvider>,
  );
  await expect.poll(() => heard).toEqual(["first: ann"]);
  redraw!("second");
  await joined(server.url);
  await expect.poll(() => heard).toEqual(["first: ann", "second: bob"]);
});

test("another id leaves the old room for the new one", async () => {
  server = await ExampleServer.start("authenticated");
  const { proxy, joins } = await countingJoins(server.url);
  const client = clientOf(proxy.url, { auth: login("ann", undefined, "vip") });
  const seen = latest<UsedRoom<any>>();
  const tree = (id: string) => (
    <open.DialogueProvider client={client}>
      <Room id={id} seen={seen.see} />
    </open.DialogueProvider>
  );
  const { draw } = render(tree("lounge"));
  await expect.poll(() => seen.get()?.room?.roomId).toBe("lounge");
  const old = seen.get()!.room!;
  const left = next<string>((handler) => old.onState(handler));
  draw(tree("vip"));
  await expect.poll(() => seen.get()?.room?.roomId).toBe("vip");
  expect(await left).toBe("left");
  expect(client.getRoom("lounge")).toBeUndefined();
  expect(joins).toContain("vip");
});

test("a refusal is what the component sees, and the next component asks again", async () => {
  server = await ExampleServer.start("authenticated");
  const client = clientOf(server.url, { auth: login("ann") });
  const seen = latest<UsedRoom<any>>();
  const tree = (key: number) => (
    <open.DialogueProvider client={client}>
      <Room key={key} id="vip" seen={seen.see} />
    </open.DialogueProvider>
  );
  const { draw } = render(tree(1));
  await expect.poll(() => seen.get()?.state).toBe("denied");
  expect(seen.get()).toMatchObject({ room: undefined, error: { code: "JOIN_DENIED", roomId: "vip" } });

  client.disconnect();
  const promoted = clientOf(server.url, { auth: login("ann", undefined, "vip") });
  draw(
    <open.DialogueProvider client={promoted}>
      <Room key={2} id="vip" seen={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()?.state).toBe("joined");
});

test("who is not let in again is told why", async () => {
  server = await ExampleServer.start("authenticated");
  const { proxy } = await countingJoins(server.url);
  let role: "vip" | "guest" = "vip";
  const client = clientOf(proxy.url, { auth: () => login("ann", undefined, role) });
  const seen = latest<UsedRoom<any>>();
  render(
    <open.DialogueProvider client={client}>
      <Room id="vip" seen={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()?.state).toBe("joined");
  role = "guest";
  proxy.cut();
  await expect.poll(() => seen.get()?.state).toBe("denied");
  expect(seen.get()).toMatchObject({ room: undefined, error: { code: "JOIN_DENIED" } });
  role = "vip";
  proxy.cut();
  await expect.poll(() => seen.get()?.state).toBe("joined");
});

test("a parameter that is missing is a refusal, too", async () => {
  server = await ExampleServer.start("chat");
  const seen = latest<UsedRoom<any>>();
  function Document({ id }: { id: string }) {
    seen.see(open.useRoom("doc:{id}", { id }));
    return null;
  }
  const client = clientOf(server.url);
  render(
    <open.DialogueProvider client={client}>
      <Document id="" />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()?.state).toBe("denied");
  expect(seen.get()?.error?.code).toBe("INVALID_REQUEST");
});

test("a room is joined on every connection, whoever connects", async () => {
  server = await ExampleServer.start("chat");
  const client: DialogueClient = clientOf(server.url);
  const seen = latest<UsedRoom<any>>();
  render(
    <open.DialogueProvider client={client} connect={false}>
      <Room id="general" seen={seen.see} />
    </open.DialogueProvider>,
  );
  await expect.poll(() => seen.get()?.state).toBe("joining");
  expect(client.state).toBe("disconnected");
  await client.connect();
  await expect.poll(() => seen.get()?.state).toBe("joined");
  client.disconnect();
  await expect.poll(() => seen.get()).toEqual({ room: undefined, state: "left", error: undefined });
  await client.connect();
  await expect.poll(() => seen.get()?.state).toBe("joined");
});
