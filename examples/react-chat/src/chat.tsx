import { Alert } from "./alert";
import { Arrivals } from "./arrivals";
import { Composer } from "./composer";
import { useClient, useConnection, useRoom } from "./dialogue";
import { explain } from "./explain";
import { Header } from "./header";
import { Log } from "./log";
import { Outdated } from "./outdated";
import { Typists } from "./typists";
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

  if (connection.error?.code === "UNAUTHENTICATED") {
    return <Welcome name={name} problem={explain(connection.error)} onEnter={onEnter} />;
  }
  return (
    <main className="chat">
      <Header name={name} onLeave={onLeave} />
      {state === "denied" && error ? (
        <div className="denied">
          <strong>No way in</strong>
          <p role="alert">{explain(error)}</p>
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
        </div>
      ) : (
        <Log room={room} />
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
        <Outdated />
        <Composer room={room} />
      </footer>
    </main>
  );
}
