import type { Socket } from "socket.io-client";
import type { ConnectionState } from "./connection-state.js";
import { Deferred } from "./deferred.js";
import { DialogueError } from "./error.js";
import { type Concern, decodeRefusal } from "./refusal.js";

/** The payload of a `dialogue:*` request. */
export interface RequestBody {
  readonly roomId?: string;
  readonly event?: string;
  readonly eventName?: string;
  readonly [field: string]: unknown;
}

/** Whoever carries requests to the server. */
export interface Requester {
  readonly state: ConnectionState;
  /** The proven user id. */
  readonly userId: string;
  /**
   * Sends a request; resolves with the fields of its acknowledgement. It is
   * sent before this returns, or never.
   */
  request<Answer>(name: string, body?: RequestBody): Promise<Answer>;
}

/** The requests that were sent and are not answered yet. */
export class Requests {
  readonly #waiting = new Set<() => void>();

  /**
   * Sends a request at once; resolves with the fields of its acknowledgement.
   * Rejects with what the server refuses, `TIMEOUT`, `DISCONNECTED` where
   * {@link abandon} comes first, or `INVALID_REQUEST` where the payload cannot
   * be written as JSON.
   */
  send<Answer>(socket: Socket, name: string, body: RequestBody | undefined, timeoutMs: number): Promise<Answer> {
    const concern = concernOf(body);
    const answer = new Deferred<Answer>();
    const lose = () => {
      answer.reject(new DialogueError("DISCONNECTED", `the connection was lost before \`${name}\` was answered`, concern));
    };
    const settle = (timedOut: Error | null, reply: unknown) => {
      this.#waiting.delete(lose);
      const { ok, ...fields } = Object(reply);
      if (timedOut) {
        answer.reject(new DialogueError("TIMEOUT", `no answer to \`${name}\` within ${timeoutMs} ms`, concern));
      } else if (ok === true) {
        answer.resolve(fields);
      } else {
        answer.reject(decodeRefusal(reply, concern));
      }
    };
    this.#waiting.add(lose);
    try {
      socket.timeout(timeoutMs).emit(name, ...(body === undefined ? [] : [body]), settle);
    } catch (cause) {
      this.#waiting.delete(lose);
      answer.reject(new DialogueError("INVALID_REQUEST", `the payload of \`${name}\` cannot be sent`, { ...concern, cause }));
    }
    return answer.promise;
  }

  /** Rejects every request that still waits: its connection is gone, and no answer can come. */
  abandon(): void {
    for (const lose of this.#waiting) lose();
    this.#waiting.clear();
  }
}

/** Why a request is not made while there is no connection. */
export function notConnected(body: RequestBody | undefined): DialogueError {
  return new DialogueError("DISCONNECTED", "there is no connection to the server", concernOf(body));
}

/** The room and event that a request is about. */
export function concernOf(body: RequestBody | undefined): Concern {
  return { roomId: body?.roomId, event: body?.event ?? body?.eventName };
}
