import { createContext, createElement, type ReactNode, useContext, useEffect } from "react";
import type { AnyContract, AnyRoomContract, Contract, RoomContract, RoomPattern } from "../contract.js";
import type { DialogueClient } from "../dialogue-client.js";
import type { AnyJoinArguments } from "../join-arguments.js";
import { type Connection, useConnectionOf } from "./use-connection.js";
import { useEvent } from "./use-event.js";
import { useHistory } from "./use-history.js";
import { type UsedRoom, type UsedRoomOf, type UseRoomArguments, useSharedRoom, useSharedRoomById } from "./use-room.js";

/** What a `DialogueProvider` takes. */
export interface DialogueProviderProps<C extends Contract> {
  /** The client that the components below use. The provider does not disconnect it: the app that made it does. */
  readonly client: DialogueClient<C>;
  /** Whether to connect it, once the provider is mounted, as `client.open()` does. Default: true. */
  readonly connect?: boolean | undefined;
  readonly children?: ReactNode;
}

/** Hooks that are typed by a contract. */
export interface DialogueHooks<C extends Contract> {
  /** Gives a client to the components below. */
  readonly DialogueProvider: (props: DialogueProviderProps<C>) => ReactNode;
  /** The client. */
  readonly useClient: () => DialogueClient<C>;
  /** The client's connection: its state, who the user is, what went wrong. */
  readonly useConnection: () => Connection;
  /**
   * A room, or a room of a family by its pattern and parameters, which is joined
   * while a component that uses it is mounted, on each connection:
   *
   * ```ts
   * const { room, state, error } = useRoom("general");
   * const { room } = useRoom("doc:{documentId}", { documentId });
   * ```
   *
   * Components that use the same room share one join, and the room is left a
   * second after the last of them is unmounted. They receive the room's default
   * events, and those of `useEvent` and `useHistory`. Where the server refuses the
   * join, the state is `"denied"` and `error` says why. The room is asked for again
   * by `retry`, by the next component that is mounted with it, on the next
   * connection, and when a room of its id is created.
   */
  readonly useRoom: <P extends RoomPattern<C>>(room: P, ...args: UseRoomArguments<P>) => UsedRoomOf<C, P>;
  /**
   * The same for a room that the contract does not name, such as one that was
   * created at run time, by its id. The type argument says which events it has;
   * without one, any event may be named. Without an id, there is no room yet.
   */
  readonly useRoomById: <R extends RoomContract = AnyRoomContract>(roomId: string | undefined) => UsedRoom<R>;
  readonly useEvent: typeof useEvent;
  readonly useHistory: typeof useHistory;
}

/**
 * Makes a provider and hooks for the clients of one server, typed by its
 * contract; without one, any room and event is let through.
 *
 * @example
 * ```ts
 * import { createDialogueHooks } from "dialogue-client/react";
 * import type { Contract } from "./dialogue.gen.js";
 *
 * export const { DialogueProvider, useConnection, useEvent, useHistory, useRoom } = createDialogueHooks<Contract>();
 * ```
 */
export function createDialogueHooks<C extends Contract = AnyContract>(): DialogueHooks<C> {
  const ClientContext = createContext<DialogueClient | undefined>(undefined);

  function DialogueProvider({ client, connect = true, children }: DialogueProviderProps<AnyContract>): ReactNode {
    useEffect(() => {
      if (connect) client.open();
    }, [client, connect]);
    return createElement(ClientContext.Provider, { value: client }, children);
  }

  function useClient(): DialogueClient {
    const client = useContext(ClientContext);
    if (!client) throw new Error("there is no `DialogueProvider` above this component: render it inside one");
    return client;
  }

  const useConnection = () => useConnectionOf(useClient());
  const useRoom = (pattern: string, ...args: AnyJoinArguments) => useSharedRoom(useClient(), pattern, args);
  const useRoomById = (roomId: string | undefined) => useSharedRoomById(useClient(), roomId);

  const hooks = { DialogueProvider, useClient, useConnection, useRoom, useRoomById, useEvent, useHistory };
  // A contract has no trace at run time: what it says of rooms and events is the cast.
  return hooks as unknown as DialogueHooks<C>;
}
