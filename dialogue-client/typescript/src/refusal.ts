import { DialogueError, type ErrorDetails } from "./error.js";
import { fits } from "./packet.js";

/** What a request was about: fills in what the server's answer leaves out. */
export type Concern = Pick<ErrorDetails, "roomId" | "event">;

/** A refusal as the server words it. */
interface Refusal extends Omit<ErrorDetails, "cause"> {
  readonly code: string;
  readonly message?: string;
}

/**
 * Reads a refusal as the server words it, in an acknowledgement or in
 * `dialogue:error`: `{ code, message, roomId?, event?, issues?, retryAfterMs? }`.
 *
 * Anything else becomes an `INTERNAL` error that carries it as its cause.
 */
export function decodeRefusal(refusal: unknown, concern: Concern = {}): DialogueError {
  if (!fits("dialogue:error", refusal)) {
    return new DialogueError("INTERNAL", "the server was not understood", { ...concern, cause: refusal });
  }
  const { code, message = code, roomId = concern.roomId, event = concern.event, issues, retryAfterMs }: Refusal = refusal;
  return new DialogueError(code, message, { roomId, event, issues, retryAfterMs });
}

/** What Engine.IO knows of a transport that cannot be opened: over polling, the request that failed. */
interface TransportFailure extends Error {
  readonly context?: Partial<Pick<XMLHttpRequest, "responseText" | "getResponseHeader">>;
}

/**
 * Why no transport can be opened: what the server says of it in the body of its answer, where that can be read, with
 * `Retry-After`. Otherwise `DISCONNECTED`.
 */
export function decodeTransportFailure(failure: TransportFailure): DialogueError {
  try {
    const refusal: object = JSON.parse(failure.context!.responseText!);
    const retryAfterMs = 1_000 * Number(failure.context!.getResponseHeader!("Retry-After")) || undefined;
    if (fits("dialogue:error", refusal)) return decodeRefusal({ ...refusal, retryAfterMs });
  } catch {
    // There was no answer, or it is not Dialogue's.
  }
  return new DialogueError("DISCONNECTED", "the server cannot be reached", { cause: failure });
}

/**
 * Reads a refused connection: the connect error's message is the JSON of
 * `{ code, message }`. A message that is no such JSON becomes an `INTERNAL`
 * error with that message.
 */
export function decodeConnectError(error: Error): DialogueError {
  try {
    const refusal: unknown = JSON.parse(error.message);
    if (Object(refusal).code) return decodeRefusal(refusal);
  } catch {
    // Not worded by Dialogue: handed on as it is.
  }
  return new DialogueError("INTERNAL", error.message, { cause: error });
}
