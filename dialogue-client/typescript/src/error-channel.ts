import { DialogueError } from "./error.js";
import { type Handler, Handlers, type Unsubscribe } from "./handlers.js";

/**
 * Where failures go that may have no other reader. With no handler registered
 * they are written to the console, so that none is lost.
 */
export class ErrorChannel {
  readonly #handlers = new Handlers<[error: DialogueError]>();

  on(handler: Handler<[error: DialogueError]>): Unsubscribe {
    return this.#handlers.add(handler);
  }

  report(error: DialogueError): void {
    if (this.#handlers.size === 0) console.error(error);
    else this.#handlers.call(error);
  }

  /**
   * Reports a command's failure; its promise rejects for whoever awaits it, and
   * is never an unhandled rejection. One that the app has aborted is no failure.
   */
  watch<T>(command: Promise<T>): Promise<T> {
    command.catch((error: unknown) => {
      if (error instanceof DialogueError) this.report(error);
    });
    return command;
  }
}
