import { DialogueError } from "dialogue-client";
import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { Alert } from "./alert";
import { useConnection } from "./dialogue";
import { explain } from "./explain";
import type { General } from "./general";

/** How often "is typing" is said while it goes on. */
const REPEAT_MS = 2_000;

export interface ComposerProps {
  room: General;
  text: string;
  onText: (text: string) => void;
  /** Takes a message that is sent while there is no connection. */
  onWait: (text: string) => void;
}

/** Where one writes. */
export function Composer({ room, text, onText, onWait }: ComposerProps) {
  const { state } = useConnection();
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<DialogueError>();
  const typed = useRef(0);

  function write(text: string) {
    onText(text);
    setProblem(undefined);
    if (text === "") return stopTyping();
    if (room?.state !== "joined" || Date.now() - typed.current < REPEAT_MS) return;
    typed.current = Date.now();
    void room.trigger("typing", { isTyping: true });
  }

  function stopTyping() {
    if (typed.current === 0) return;
    typed.current = 0;
    if (room?.state === "joined") void room.trigger("typing", { isTyping: false });
  }

  async function send(event?: FormEvent) {
    event?.preventDefault();
    if (!room || sending) return;
    setProblem(undefined);
    typed.current = 0;
    const message = text.trim();
    if (state === "connecting") {
      if (message) onWait(message);
      return onText("");
    }
    setSending(true);
    try {
      await room.trigger("message", { text: message });
      onText("");
    } catch (error) {
      if (error instanceof DialogueError) setProblem(error);
    } finally {
      setSending(false);
    }
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  }

  return (
    <>
      {problem && <Alert onDismiss={() => setProblem(undefined)}>{explain(problem)}</Alert>}
      <form className="composer" onSubmit={send}>
        <label className="visually-hidden" htmlFor="text">
          Message
        </label>
        <textarea
          id="text"
          rows={1}
          value={text}
          onChange={(event) => write(event.target.value)}
          onKeyDown={onKeyDown}
          placeholder="Write a message"
          autoComplete="off"
          enterKeyHint="send"
          readOnly={sending}
        />
        <button type="submit" aria-label="Send" title="Send" disabled={!room || sending}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 19V5M5.5 11.5 12 5l6.5 6.5" />
          </svg>
        </button>
      </form>
    </>
  );
}
