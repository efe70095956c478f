import { memo } from "react";
import { Avatar } from "./avatar";
import type { Said } from "./general";

/** One message; `first` of those of its sender that stand together. */
export const Message = memo(function Message({ message, own, first }: { message: Said; own: boolean; first: boolean }) {
  const date = new Date(message.timestamp);
  return (
    <li className={`message${own ? " own" : ""}${first ? " first" : ""}`}>
      {first && !own && <Avatar name={message.from} />}
      {first && (
        <div className="head">
          <span className={own ? "sender visually-hidden" : "sender"}>{own ? "You" : message.from}</span>
          <time dateTime={date.toISOString()}>{timeOf(date)}</time>
        </div>
      )}
      <div className="text">{message.data.text}</div>
    </li>
  );
});

function timeOf(date: Date): string {
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString([], { timeStyle: "short" })
    : date.toLocaleString([], { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
}
