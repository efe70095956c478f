import { useEffect, useLayoutEffect, useRef } from "react";
import { Alert } from "./alert";
import { useConnection, useHistory } from "./dialogue";
import { explain } from "./explain";
import type { General } from "./general";
import { Message } from "./message";
import type { Waiting } from "./use-waiting";
import { WaitingMessage } from "./waiting-message";

/** Within this, messages of one sender stand together. */
const GROUP_MS = 5 * 60_000;
/** How near to the end counts as being there, in pixels. */
const NEAR = 48;

export interface LogProps {
  room: General;
  waiting: readonly Waiting[];
  onAgain: (message: Waiting) => void;
  onEdit: (message: Waiting) => void;
}

/** What was said: older messages come as one scrolls up. What waits for a connection stands at the end. */
export function Log({ room, waiting, onAgain, onEdit }: LogProps) {
  const { userId } = useConnection();
  const { messages, hasMore, loadMore, loading, error } = useHistory(room, "message", { pageSize: 50 });
  const log = useRef<HTMLDivElement>(null);
  const older = useRef<HTMLButtonElement>(null);
  const view = useRef({ first: messages[0]?.id, height: 0, atEnd: true });

  // What is being read stays where it is when older messages come, and the end is followed.
  useLayoutEffect(() => {
    const { scrollHeight } = log.current!;
    const { first, height, atEnd } = view.current;
    if (atEnd) log.current!.scrollTop = scrollHeight;
    else if (messages[0]?.id !== first) log.current!.scrollTop += scrollHeight - height;
    view.current = { first: messages[0]?.id, height: scrollHeight, atEnd };
  }, [messages, waiting]);

  useEffect(() => {
    // After a failure, people ask again.
    if (!hasMore || loading || error) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && loadMore(), {
      root: log.current,
      rootMargin: "300px 0px 0px",
    });
    observer.observe(older.current!);
    return () => observer.disconnect();
  }, [hasMore, loading, error, loadMore]);

  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (view.current.atEnd) log.current!.scrollTop = log.current!.scrollHeight;
    });
    observer.observe(log.current!);
    return () => observer.disconnect();
  }, []);

  function onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = log.current!;
    view.current.atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
  }

  const empty = room && messages.length + waiting.length === 0 && !loading && !error;
  return (
    <div className="log" ref={log} onScroll={onScroll} role="log" aria-label="Messages" tabIndex={0} aria-busy={loading}>
      {hasMore && (
        <button type="button" className="older" ref={older} onClick={loadMore} disabled={loading}>
          {loading ? "Loading…" : "Load older messages"}
        </button>
      )}
      {error && <Alert>{explain(error)}</Alert>}
      {empty && (
        <p className="empty">
          <strong>No messages yet</strong>
          Say hello: everyone in the room will see it.
        </p>
      )}
      <ol>
        {messages.map((message, index) => {
          const previous = messages[index - 1];
          const first = previous?.from !== message.from || message.timestamp - previous.timestamp > GROUP_MS;
          return <Message key={message.id} message={message} own={message.from === userId} first={first} />;
        })}
        {waiting.map((message) => (
          <WaitingMessage
            key={message.key}
            message={message}
            onAgain={() => onAgain(message)}
            onEdit={() => onEdit(message)}
          />
        ))}
      </ol>
    </div>
  );
}
