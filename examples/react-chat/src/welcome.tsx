import { type FormEvent, useState } from "react";
import { Alert } from "./alert";

export interface WelcomeProps {
  name: string;
  problem?: string;
  onEnter: (name: string) => void;
}

/** The prompt for a name. */
export function Welcome({ name: former, problem, onEnter }: WelcomeProps) {
  const [name, setName] = useState(former);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (name.trim()) onEnter(name.trim());
  }

  return (
    <main className="welcome">
      <form onSubmit={submit}>
        <h1>General Chat</h1>
        <p>Pick a name to join the conversation.</p>
        <label htmlFor="name">Your name</label>
        <input
          id="name"
          value={name}
          onChange={(event) => setName(event.target.value)}
          maxLength={40}
          required
          autoFocus
          autoComplete="nickname"
          placeholder="Ada"
        />
        <button type="submit">Join</button>
        {problem && <Alert>{problem}</Alert>}
      </form>
    </main>
  );
}
