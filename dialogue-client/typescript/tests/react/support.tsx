import { type ReactNode, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { onTestFinished } from "vitest";
import {
  type AnyContract,
  type Contract,
  createDialogueClient,
  type DialogueClient,
  type DialogueClientOptions,
} from "../../src/index.js";
import { createDialogueHooks } from "../../src/react/index.js";
import type { Chat } from "../support/chat-contract.js";
import { Proxy } from "../support/proxy.js";

/** Hooks for any of the examples. */
export const open = createDialogueHooks();
/** Hooks for the chat. */
export const chat = createDialogueHooks<Chat>();

/** A client that is not connected yet, until the test is over. */
export function clientOf<C extends Contract = AnyContract>(
  url: string,
  options: DialogueClientOptions = {},
): DialogueClient<C> {
  const client = createDialogueClient<C>({
    url,
    auth: { userId: "ann" },
    autoConnect: false,
    transports: ["websocket"],
    reconnectionDelayMs: 50,
    reconnectionDelayMaxMs: 100,
    ...options,
  });
  client.onError(() => {});
  onTestFinished(() => client.disconnect());
  return client;
}

/** Renders until the test is over, under StrictMode, which mounts everything twice, unless told otherwise. */
export function render(element: ReactNode, { strict = true } = {}) {
  const page = document.createElement("div");
  const root = createRoot(page);
  const draw = (element: ReactNode) => root.render(strict ? <StrictMode>{element}</StrictMode> : element);
  draw(element);
  onTestFinished(() => root.unmount());
  return { page, draw, unmount: () => root.unmount() };
}

/** A proxy before a server, and how many joins the server has answered through it. */
export async function countingJoins(url: string) {
  const proxy = await Proxy.start(url);
  onTestFinished(() => proxy.stop());
  const joins: string[] = [];
  proxy.edit = (text) => {
    const roomId = /^43\d+\[\{.*"roomName"/.test(text) && /"roomId":"([^"]+)"/.exec(text)?.[1];
    if (roomId) joins.push(roomId);
    return [text];
  };
  return { proxy, joins };
}

/** What a component has seen, in order and at last. */
export function latest<Value>() {
  const values: Value[] = [];
  return { values, see: (value: Value) => void values.push(value), get: () => values.at(-1) };
}
