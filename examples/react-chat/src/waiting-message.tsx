import { explain } from "./explain";
import type { Waiting } from "./use-waiting";

export interface WaitingMessageProps {
  message: Waiting;
  onAgain: () => void;
  onEdit: () => void;
}

/** A message that waits for a connection, or has waited in vain. */
export function WaitingMessage({ message: { text, error }, onAgain, onEdit }: WaitingMessageProps) {
  const invalid = error?.code === "VALIDATION_FAILED";
  const unanswered = error?.code === "DISCONNECTED" || error?.code === "TIMEOUT";
  return (
    <li className={`message own first waiting${error ? " unsent" : ""}`}>
      <div className="text">{text}</div>
      <div className="fate">
        {error ? (
          <>
            {unanswered ? "May not have been sent." : explain(error)}{" "}
            <button type="button" className="link" onClick={invalid ? onEdit : onAgain}>
              {invalid ? "Edit" : "Send again"}
            </button>
          </>
        ) : (
          "Waits for the connection"
        )}
      </div>
    </li>
  );
}
