import type { EventMessage, Room } from "dialogue-client";
import type { GeneralRoom, Message } from "./dialogue.gen";

/** The room, once it is joined. */
export type General = Room<GeneralRoom> | undefined;

/** A message in it. */
export type Said = EventMessage<Message, "message">;
