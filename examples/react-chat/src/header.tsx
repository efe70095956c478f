import { Avatar } from "./avatar";
import { useConnection, useRoom } from "./dialogue";
import { usePresence } from "./use-presence";

/** What the room is called, who is there, and how the connection is. */
export function Header({ name, unreachable, onLeave }: { name: string; unreachable: boolean; onLeave: () => void }) {
  const { room, state } = useRoom("general");
  const connection = useConnection();
  const size = usePresence(room);

  const here = connection.state === "connected" && size !== undefined;
  return (
    <header>
      <div>
        <h1>{room?.roomName ?? "General Chat"}</h1>
        <p>
          {here && <span className="count">{size} here</span>}
          <span className="connection" role="status" data-state={connection.state} data-room={state}>
            {unreachable ? "No connection" : LABELS[connection.state === "connected" ? state : connection.state]}
          </span>
        </p>
      </div>
      <button type="button" className="person" onClick={onLeave} title="Change your name">
        <Avatar name={name} />
        <span>{name}</span>
      </button>
    </header>
  );
}

const LABELS = {
  disconnected: "Offline",
  connecting: "Connecting…",
  joining: "Joining…",
  joined: "Connected",
  rejoining: "Coming back…",
  left: "Not in the room",
  denied: "Not in the room",
};
