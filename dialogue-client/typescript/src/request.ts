import type { Socket } from "socket.io-client";
import type { ConnectionState } from "./connection-state.js";
import { DialogueError } from "./error.js";
import { byteLength, writeJson } from "./json.js";
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
  /** The longest message that the server takes, in bytes; `Infinity` where it does not say. */
  readonly maxMessageBytes: number;
  /**
   * Sends a request; resolves with the fields of its acknowledgement. It is
   * sent before this returns, or never. It waits for so many times as long as usual.
   */
  request<Answer>(name: string, body?: RequestBody, times?: number): Promise<Answer>;
}

/** What a request has around its name and its body, in bytes: `421234567890123456["",]`, with the longest id that there is. */
const FRAME_BYTES = 23;

/**
 * Sends a request at once; resolves with the fields of its acknowledgement.
 * Rejects with what the server refuses, `TIMEOUT`, `DISCONNECTED` where the
 * connection is lost before the answer, `INTERNAL` where the answer has not its
 * shape. Is not sent, and rejects with `INVALID_REQUEST`, where JSON cannot hold the
 * payload, and with `TOO_LARGE` where the server would close the connection on it.
 */
export function send<Answer>(
  socket: Socket,
  name: string,
  body: RequestBody | undefined,
  timeoutMs: number,
  limit: number,
): Promise<Answer> {
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
    const size = name.length + FRAME_BYTES + byteLength(body ? jsonOf(body) : "");
    if (size > limit) throw tooLarge(size, limit, concern);
    socket.timeout(timeoutMs).emit(name, ...(body ? [body] : []), settle);
  });
}

/** Why a message is not sent: the server would close the connection on so many bytes. */
export function tooLarge(size: number, limit: number, concern: Concern = {}): DialogueError {
  const message = `the message has ${size} bytes, and the server takes up to ${limit}`;
  return new DialogueError("TOO_LARGE", message, { ...concern, size, limit });
}

/**
 * A request's payload as JSON.
 *
 * @throws DialogueError `INVALID_REQUEST` where JSON cannot hold it.
 */
export function jsonOf(body: RequestBody): string {
  try {
    return writeJson(body);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : "";
    throw new DialogueError("INVALID_REQUEST", `the payload is no JSON: ${message}`, { ...concernOf(body), cause });
  }
}

/** Why a request is not made while the client was disconnected. */
export function notConnected(body: RequestBody | undefined): DialogueError {
  return new DialogueError("DISCONNECTED", "there is no connection", concernOf(body));
}

/** The room and event that a request is about. */
export function concernOf(body: RequestBody | undefined): Concern {
  return { roomId: body?.roomId, event: body?.event ?? body?.eventName };
}
