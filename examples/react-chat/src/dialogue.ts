import { createDialogueHooks } from "dialogue-client/react";
import type { Contract } from "./dialogue.gen";

/** The hooks, typed by what the chat server offers. */
export const { DialogueProvider, useClient, useConnection, useEvent, useHistory, useRoom } =
  createDialogueHooks<Contract>();
