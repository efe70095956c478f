// @vitest-environment happy-dom
import { Component, type ReactNode } from "react";
import { expect, test, vi } from "vitest";
import type { EventMessage } from "../../src/index.js";
import { HostileServer, mutations, welcome } from "../support/hostile-server.js";
import { clientOf, open, render } from "./support.js";

const { DialogueProvider, useConnection, useEvent, useHistory, useRoom } = open;

/** Notes what rendering throws. */
class Boundary extends Component<{ caught: unknown[]; children: ReactNode }> {
  override state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  override componentDidCatch(error: unknown) {
    this.props.caught.push(error);
  }
  override render() {
    return this.state.failed ? "failed" : this.props.children;
  }
}

function Page({ heard }: { heard: EventMessage[] }) {
  const { state, userId, error } = useConnection();
  const used = useRoom("hall");
  const { messages, error: failure } = useHistory(used.room, "stored");
  useEvent(used.room, "ephemeral", (message) => void heard.push(message));
  return (
    <main>
      <h1>
        {state} {userId} {error?.code} {error?.message} {used.state} {used.error?.message} {used.room?.roomName} {failure?.message}
      </h1>
      {messages.map((message, n) => (
        <p key={n}>
          {message.event} {message.from} {message.roomId} {message.seq} {(message.data as { text?: string } | null)?.text}
        </p>
      ))}
    </main>
  );
}

test("malformed_packets_break_no_rendering", async () => {
  const server = await HostileServer.start();
  const client = clientOf(server.url, { reconnectionDelayMs: 1, reconnectionDelayMaxMs: 1 });
  const [heard, caught]: [EventMessage[], unknown[]] = [[], []];
  const { page } = render(
    <DialogueProvider client={client}>
      <Boundary caught={caught}>
        <Page heard={heard} />
      </Boundary>
    </DialogueProvider>,
  );
  const shows = (text: string) => vi.waitFor(() => expect(page.textContent).toContain(text), { timeout: 5_000 });
  await shows("joined");
  const page1 = server.answer("dialogue:getHistory", { roomId: "hall" });
  const packets: [string, unknown][] = [
    ["dialogue:event", server.message("hall", "ephemeral", "wrong")],
    ["dialogue:event", { ...server.message("hall", "ephemeral", "wrong"), event: "stored" }],
    ["dialogue:position", server.position("hall")],
    ["dialogue:error", { code: "INTERNAL", message: "no", issues: [] }],
    ["dialogue:connected", welcome()],
    ["dialogue:roomCreated", { id: "den", name: "Den", size: 1 }],
  ];
  for (const [event, packet] of packets) {
    for (const wrong of mutations(packet)) server.say(event, wrong);
    server.say("dialogue:event", server.message("hall", "stored", `after ${event}`));
    await shows(`after ${event}`);
  }
  // Joined again, with answers that are wrong, until one is right.
  const join = server.answer("dialogue:join", { roomId: "hall" });
  for (const wrong of [...mutations(join)].slice(0, 60)) {
    server.answers.set("dialogue:join", [wrong]);
    server.answers.set("dialogue:getHistory", [[...mutations(page1)].at(-1)]);
    client.disconnect();
    client.open();
    await vi.waitFor(() => expect(client.state).toBe("connected"));
  }
  server.answers.clear();
  client.disconnect();
  client.open();
  await shows("joined");
  server.say("dialogue:event", server.message("hall", "stored", "at last"));
  await shows("at last");
  expect(caught).toEqual([]);
  expect(page.textContent).not.toContain("failed");
}, 60_000);
