import { createDialogueClient, type DialogueClient } from "dialogue-client";
import { useState } from "react";
import { Chat } from "./chat";
import { DialogueProvider } from "./dialogue";
import { CONTRACT_HASH, type Contract } from "./dialogue.gen";
import { Welcome } from "./welcome";

/** Asks who is there, and lets them in. */
export function App() {
  const [name, setName] = useState(nameInAddress);
  const [client, setClient] = useState(() => (name ? clientOf(name) : undefined));

  function enter(name: string) {
    client?.disconnect();
    setName(name);
    setClient(clientOf(name));
  }

  function leave() {
    client?.disconnect();
    setClient(undefined);
  }

  if (!client) return <Welcome name={name} onEnter={enter} />;
  return (
    <DialogueProvider client={client}>
      <Chat name={name} onEnter={enter} onLeave={leave} />
    </DialogueProvider>
  );
}

/** A client of the server that the page comes from, which the provider connects. */
function clientOf(userId: string): DialogueClient<Contract> {
  const client = createDialogueClient<Contract>({ auth: { userId }, contract: CONTRACT_HASH, autoConnect: false });
  // People read what goes wrong on the page: this is for whoever develops it.
  client.onError((error) => console.debug(error));
  return client;
}

function nameInAddress(): string {
  return new URLSearchParams(location.search).get("name")?.trim() ?? "";
}
