import { DialogueError, type ErrorDetails, type Issue } from "./error.js";

/** What a request was about: fills in what the server's answer leaves out. */
export type Concern = Pick<ErrorDetails, "roomId" | "event">;

/**
 * Reads a refusal as the server words it, in an acknowledgement or in
 * `dialogue:error`: `{ code, message, roomId?, event?, issues?, retryAfterMs? }`.
 *
 * Anything else becomes an `INTERNAL` error that carries it as its cause.
 */
export function decodeRefusal(refusal: unknown, concern: Concern = {}): DialogueError {
  if (!isRecord(refusal) || typeof refusal.code !== "string") {
    return new DialogueError("INTERNAL", "the server's answer cannot be understood", { ...concern, cause: refusal });
  }
  return new DialogueError(refusal.code, textOf(refusal.message) ?? refusal.code, {
    roomId: textOf(refusal.roomId) ?? concern.roomId,
    event: textOf(refusal.event) ?? concern.event,
    issues: Array.isArray(refusal.issues) ? refusal.issues.filter(isRecord).map(decodeIssue) : undefined,
    retryAfterMs: typeof refusal.retryAfterMs === "number" ? refusal.retryAfterMs : undefined,
  });
}

/**
 * Reads a refused connection: the connect error's message is the JSON of
 * `{ code, message }`. A message that is no such JSON becomes an `INTERNAL`
 * error with that message.
 */
export function decodeConnectError(error: Error): DialogueError {
  try {
    const refusal: unknown = JSON.parse(error.message);
    if (isRecord(refusal)) return decodeRefusal(refusal);
  } catch {
    // Not worded by Dialogue: handed on as it is.
  }
  return new DialogueError("INTERNAL", error.message, { cause: error });
}

function decodeIssue(issue: Record<string, unknown>): Issue {
  return {
    path: textOf(issue.path) ?? "",
    code: textOf(issue.code) ?? "",
    message: textOf(issue.message) ?? "",
    params: isRecord(issue.params) ? issue.params : {},
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
