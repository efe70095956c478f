import { DialogueError } from "dialogue-client";
import { useState } from "react";
import type { General } from "./general";

/** How long a message waits for a connection, in milliseconds: the longest that the client lets it. */
const PATIENCE_MS = 100_000;

/** A message that was written while there was no connection. */
export interface Waiting {
  /** By which the server tells it, however often it is sent. */
  readonly key: string;
  readonly text: string;
  /** Why it was not sent. */
  readonly error?: DialogueError;
}

/** The messages that wait for a connection: the client sends them once there is one. */
export function useWaiting(room: General) {
  const [waiting, setWaiting] = useState<readonly Waiting[]>([]);

  function drop(key: string) {
    setWaiting((waiting) => waiting.filter((message) => message.key !== key));
  }

  async function send(text: string, key = String(Math.random())) {
    drop(key);
    setWaiting((waiting) => [...waiting, { key, text }]);
    try {
      await room?.trigger("message", { text }, undefined, { key, timeoutMs: PATIENCE_MS });
      drop(key);
    } catch (error) {
      if (!(error instanceof DialogueError)) throw error;
      setWaiting((waiting) => waiting.map((message) => (message.key === key ? { key, text, error } : message)));
    }
  }

  return { waiting, send, drop };
}
