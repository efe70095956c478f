import type { DialogueError, Issue } from "dialogue-client";

/** An error in words for people. */
export function explain(error: DialogueError): string {
  switch (error.code) {
    case "VALIDATION_FAILED":
      return error.issues?.map(explainIssue).join(" ") || sentence(error.message);
    case "DISCONNECTED":
      return "The server cannot be reached.";
    case "TIMEOUT":
      return "The server did not answer in time.";
    case "UNAUTHENTICATED":
      return `This name cannot be used: ${error.message}.`;
    case "JOIN_DENIED":
    case "ROOM_NOT_FOUND":
      return `You cannot join this room: ${error.message}.`;
    case "ROOM_FULL":
      return "The room is full. Try again later.";
    default:
      return sentence(error.message);
  }
}

function explainIssue({ path, code, message, params }: Issue): string {
  if (path === "text" && code === "length") {
    return `A message has between ${params.min} and ${Number(params.max).toLocaleString()} characters.`;
  }
  return sentence(path ? `${path} ${message}` : message);
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
