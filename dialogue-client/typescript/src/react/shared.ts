import { useCallback, useSyncExternalStore } from "react";
import type { Store } from "./store.js";

/**
 * How long something is kept after its last user, in milliseconds: a component
 * that is unmounted and mounted again, as StrictMode does, finds it as it was.
 */
const LINGER_MS = 1_000;

/** What components share: opened by being made. */
export interface Resource<Value> extends Store<Value> {
  close(): void;
}

interface Entry<R> {
  readonly resource: R;
  users: number;
  closing: ReturnType<typeof setTimeout> | undefined;
}

/** Resources by key, each made for its first user and closed a moment after its last. */
export class Shared<Value, R extends Resource<Value>> {
  readonly #entries = new Map<string, Entry<R>>();

  get(key: string): R | undefined {
    return this.#entries.get(key)?.resource;
  }

  /** Takes a resource into use; {@link release} is to follow. */
  use(key: string, open: () => R): R {
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = { resource: open(), users: 0, closing: undefined }));
    clearTimeout(entry.closing);
    entry.users++;
    return entry.resource;
  }

  release(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry || --entry.users > 0) return;
    entry.closing = setTimeout(() => {
      this.#entries.delete(key);
      entry.resource.close();
    }, LINGER_MS);
  }
}

/**
 * The value of a shared resource, which is in use while the component is
 * mounted; `initial` before that, and where nothing is shared.
 *
 * @param open Makes the resource. `shared` and `key` say all that it depends on.
 */
export function useShared<Value, R extends Resource<Value>>(
  shared: Shared<Value, R> | undefined,
  key: string,
  open: () => R,
  initial: Value,
): Value {
  const subscribe = useCallback(
    (changed: () => void) => {
      if (!shared) return () => {};
      const unsubscribe = shared.use(key, open).subscribe(changed);
      return () => {
        unsubscribe();
        shared.release(key);
      };
    },
    // What `open` makes is the same as long as these are.
    [shared, key],
  );
  return useSyncExternalStore(
    subscribe,
    () => shared?.get(key)?.value ?? initial,
    () => initial,
  );
}
