import { useState } from "react";
import { Alert } from "./alert";
import { Arrivals } from "./arrivals";
import { Composer } from "./composer";
import { useClient, useConnection, useRoom } from "./dialogue";
import { explain } from "./explain";
import { Header } from "./header";
import { Log } from "./log";
import { Outdated } from "./outdated";
import { Typists } from "./typists";
import { useUnreachable } from "./use-unreachable";
import { useWaiting } from "./use-waiting";
import { Welcome } from "./welcome";

export interface ChatProps {
  name: string;
  onEnter: (name: string) => void;
  onLeave: () => void;
}

/** The chat of one person, as far as the connection and the room let it be. */
export function Chat({ name, onEnter, onLeave }: ChatProps) {
  const client = useClient();
  const connection = useConnection();
  const { room, state, error, retry } = useRoom("general");
  const unreachable = useUnreachable();
  const { waiting, send, drop } = useWaiting(room);
  const [text, setText] = useState("");

  if (connection.error?.code === "UNAUTHENTICATED") {
    return <Welcome name={name} problem={explain(connection.error)} onEnter={onEnter} />;
  }
  const lost = connection.state === "connecting" && connection.userId !== "";
  return (
    <main className="chat">
      <Header name={name} unreachable={unreachable} onLeave={onLeave} />
      {state === "denied" && error ? (
        <div className="denied">
          <strong>No way in</strong>
          <p role="alert">{explain(error)}</p>
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
        </div>
      ) : (
        <Log
          room={room}
          waiting={waiting}
          onAgain={({ text, key }) => send(text, key)}
          onEdit={({ text, key }) => {
            drop(key);
            setText(text);
          }}
        />
      )}
      <footer>
        <div className="news">
          <Typists room={room} />
          <Arrivals room={room} />
        </div>
        {connection.state === "disconnected" && connection.userId && (
          <Alert>
            {connection.error ? explain(connection.error) : "The server has disconnected you."}{" "}
            <button type="button" className="link" onClick={() => client.open()}>
              Try again
            </button>
          </Alert>
        )}
        <div role="status">
          {(lost || unreachable) && (
            <p className="offline">
              {unreachable ? "The server cannot be reached. This page keeps trying." : "The connection was lost."}
              {room && " What you send now goes out later."}
            </p>
          )}
        </div>
        <Outdated />
        <Composer room={room} text={text} onText={setText} onWait={send} />
      </footer>
    </main>
  );
}
