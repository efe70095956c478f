import { useCallback, useSyncExternalStore } from "react";
import type { ConnectionState } from "../connection-state.js";
import type { DialogueClient } from "../dialogue-client.js";
import type { DialogueError } from "../error.js";

/** A client's connection, as a component sees it. */
export interface Connection {
  /** Whether the client is connected, or on its way. */
  readonly state: ConnectionState;
  /** The user id that the server knows this client by; `""` until it is connected, the last one while it is not. */
  readonly userId: string;
  /** Why the client is not connected, or will not be for long: what failed or was refused last. */
  readonly error: DialogueError | undefined;
}

const BEFORE: Connection = { state: "disconnected", userId: "", error: undefined };
const snapshots = new WeakMap<DialogueClient, Connection>();

/** `useConnection` as it is at run time. */
export function useConnectionOf(client: DialogueClient): Connection {
  const subscribe = useCallback((changed: () => void) => client.onState(changed), [client]);
  return useSyncExternalStore(
    subscribe,
    () => snapshot(client),
    () => BEFORE,
  );
}

function snapshot(client: DialogueClient): Connection {
  const { state, userId, error } = client;
  const known = snapshots.get(client);
  if (known?.state === state && known.userId === userId && known.error === error) return known;
  const connection = { state, userId, error };
  snapshots.set(client, connection);
  return connection;
}
