import type { Socket } from "socket.io-client";
import type { ConnectionState } from "./connection-state.js";
import { DialogueError } from "./error.js";
import { fits, type Packet } from "./packet.js";
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

/**
 * Sends a request at once; resolves with the fields of its acknowledgement.
 * Rejects with what the server refuses, `TIMEOUT`, `DISCONNECTED` where the
 * connection is lost before the answer, `INTERNAL` where the answer has not its
 * shape, or `INVALID_REQUEST` where the payload cannot be written as JSON.
 */
export function send<Answer>(socket: Socket, name: string, body: RequestBody | undefined, timeoutMs: number): Promise<Answer> {
  const concern = concernOf(body);
  return new Promise((resolve, reject) => {
    // Socket.IO calls back once, whatever happens: also when the connection is lost.
    const settle = (unanswered: Error | null, reply: Packet) => {
      const { ok, ...fields } = Object(reply);
      if (ok === true && fits(name, fields)) resolve(fields);
      else if (!unanswered) reject(decodeRefusal(reply, concern));
      else if (socket.connected) reject(new DialogueError("TIMEOUT", `\`${name}\` was not answered within ${timeoutMs} ms`, concern));
      else reject(new DialogueError("DISCONNECTED", `\`${name}\` was not answered: the connection was lost`, concern));
    };
    try {
      socket.timeout(timeoutMs).emit(name, ...(body ? [body] : []), settle);
    } catch (cause) {
      reject(new DialogueError("INVALID_REQUEST", "the payload is no JSON", { ...concern, cause }));
    }
  });
}

/** Why a request is not made while the client was disconnected. */
export function notConnected(body: RequestBody | undefined): DialogueError {
  return new DialogueError("DISCONNECTED", "there is no connection", concernOf(body));
}

/** The room and event that a request is about. */
export function concernOf(body: RequestBody | undefined): Concern {
  return { roomId: body?.roomId, event: body?.event ?? body?.eventName };
}
