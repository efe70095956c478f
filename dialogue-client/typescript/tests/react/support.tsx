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

/** A proxy before a server, until the test is over. */
export async function proxyOf(url: string): Promise<Proxy> {
  const proxy = await Proxy.start(url);
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** A proxy before a server, and the rooms of the joins that the server has answered through it. */
export async function countingJoins(url: string) {
  const proxy = await proxyOf(url);
  return { proxy, joins: countingAnswers(proxy, /^43\d+\[\{.*"roomId":"([^"]+)","roomName"/) };
}

/** What of each answer through a proxy that is like a pattern is within its parentheses. */
export function countingAnswers(proxy: Proxy, pattern: RegExp): (string | undefined)[] {
  const counted: (string | undefined)[] = [];
  const { edit } = proxy;
  proxy.edit = (text) => {
    const found = pattern.exec(text);
    if (found) counted.push(found[1]);
    return edit(text);
  };
  return counted;
}

/** What a component has seen, in order and at last. */
export function latest<Value>() {
  const values: Value[] = [];
  return { values, see: (value: Value) => void values.push(value), get: () => values.at(-1) };
}
