/** Undoes a registration. Calling it again does nothing. */
export type Unsubscribe = () => void;

/** A handler may be asynchronous; the client does not wait for it. */
export type Handler<Arguments extends readonly unknown[]> = (...args: Arguments) => unknown;

/**
 * The handlers of one event. What one of them throws, or rejects with, is
 * reported to the host and does not keep it from the others.
 *
 * Each registration is its own, even of the same function. Handlers that are
 * removed while an event is being handed out are not called any more; those
 * that are added then hear the next one.
 */
export class Handlers<Arguments extends readonly unknown[]> {
  readonly #registrations = new Set<{ readonly handler: Handler<Arguments> }>();

  get size(): number {
    return this.#registrations.size;
  }

  add(handler: Handler<Arguments>): Unsubscribe {
    const registration = { handler };
    this.#registrations.add(registration);
    return () => {
      this.#registrations.delete(registration);
    };
  }

  clear(): void {
    this.#registrations.clear();
  }

  call(...args: Arguments): void {
    for (const registration of [...this.#registrations]) {
      if (!this.#registrations.has(registration)) continue;
      try {
        const outcome = registration.handler(...args);
        if (outcome instanceof Promise) outcome.catch(reportToHost);
      } catch (error) {
        reportToHost(error);
      }
    }
  }
}

/** The handlers of many events, by name. */
export class HandlersByName<Arguments extends readonly unknown[]> {
  readonly #handlers = new Map<string, Handlers<Arguments>>();

  add(name: string, handler: Handler<Arguments>): Unsubscribe {
    let handlers = this.#handlers.get(name);
    if (!handlers) this.#handlers.set(name, (handlers = new Handlers()));
    return handlers.add(handler);
  }

  clear(): void {
    this.#handlers.clear();
  }

  call(name: string, ...args: Arguments): void {
    this.#handlers.get(name)?.call(...args);
  }
}

/** Shows an error that no caller can catch: as an uncaught one in a browser, on the console elsewhere. */
function reportToHost(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else console.error(error);
}
